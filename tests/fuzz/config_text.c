/* A whole configuration. Its host name is given, so that nobody is asked for one. */
#include "config/config.h"
#include "config/source.h"

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#define HOSTNAME "hostname = \"mail.example.com\"\n"

static int file;
static char path[64];

/* libconfig leaves the text lying that it has read so far when it meets an error in it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    file = memfd_create("porteiro.conf", MFD_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file); /* fits */
    must(file >= 0, "there is a file");
    return 0;
}

static void write_file(struct span text)
{
    must(ftruncate(file, 0) == 0 && pwrite(file, text.data, text.size, 0) == (ssize_t)text.size,
         "a file can be written");
}

/* Everything that is told stands somewhere. */
static void has_place(void *owner, enum finding kind, const char *text)
{
    (void)owner;
    must(kind == FINDING_NOTE || strncmp(text, path, strlen(path)) == 0,
         "what is wrong is told with its file");
}

/* NULL when it is refused. */
static struct config *load(void)
{
    struct errors *errors = errors_create();
    must(errors != NULL, "there is memory");
    struct config *c = config_load(path, errors);
    errors_each(errors, has_place, NULL);
    must(c != NULL || errors_count(errors) > 0, "what is refused is said why");
    if (errors_count(errors) > 0)
        config_free(&c);
    errors_destroy(&errors);
    return c;
}

static struct buffer print(const struct config *c)
{
    struct buffer out = {.limit = 8 << 20};
    must(config_print(c, &out) == 0, "what was taken can be printed");
    return out;
}

/* Printed, it is a configuration that says the same. */
static void check_print(struct config *c)
{
    struct buffer first = print(c), second;
    config_free(&c);
    write_file(buffer_bytes(&first));
    c = load();
    must(c != NULL, "what is printed is taken");
    second = print(c);
    must(first.size == second.size &&
             memcmp(buffer_bytes(&first).data, buffer_bytes(&second).data, first.size) == 0,
         "what is printed says the same");
    config_free(&c);
    buffer_clear(&first);
    buffer_clear(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct buffer text = {.limit = 1 << 20};
    must(buffer_append(&text, span_of(HOSTNAME)) == 0 && buffer_append(&text, input) == 0,
         "there is memory");
    /* Other files of this machine are none of the fuzzer's. */
    bool is_foreign =
        memmem(data, size, "@", 1) != NULL && memmem(data, size, "include", 7) != NULL;
    if (!is_foreign) {
        write_file(buffer_bytes(&text));
        struct config *c = load();
        if (c != NULL)
            check_print(c);
    }
    buffer_clear(&text);
    return 0;
}
