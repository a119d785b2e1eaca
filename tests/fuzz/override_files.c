/* A file of overrides, and the lookup that is made of it as whoever has built it may leave it. The
 * input is an account, LF, the file, and behind a first NUL what is changed afterwards: two bytes
 * for the place, one for what stands there then. */
#include "auth/overrides.h"

#include "fuzz.h"
#include "policy/policy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define YEAR_US (INT64_C(366) * 86400000000)

static struct policy policy = {.name = "out", .overrides = {.path = "over"}};
static struct limit_rule limits[2] = {{.name = "hour",
                                       .enabled = true,
                                       .key_count = 1,
                                       .keys = {LIMIT_KEY_ACCOUNT},
                                       .overrides = &policy.overrides},
                                      {.name = "open",
                                       .enabled = true,
                                       .key_count = 1,
                                       .keys = {LIMIT_KEY_ACCOUNT},
                                       .kind = COUNTER_AT_ONCE,
                                       .overrides = &policy.overrides}};
static struct config config = {
    .auth = {.realm = "example.com"}, .policies = &policy, .policy_count = 1};

/* Whatever is found can be counted with. */
static void look_up(const struct sealed *file, const char *account)
{
    const struct policy_facts facts = {.account = account};
    struct override o;
    policy.overrides.list = file;
    for (size_t i = 0; i < 2; i++)
        must(!override_find(&limits[i], &facts, &o) ||
                 (o.figure.count > 0 && o.figure.count <= RATE_COUNT_MAX &&
                  (i == 0) == (o.figure.period_us > 0) && o.figure.period_us <= YEAR_US),
             "what is found is a figure of the rule's kind");
}

static void has_place(void *owner, enum finding kind, const char *text)
{
    (void)owner, (void)kind;
    must(strncmp(text, "over:", 5) == 0 || strncmp(text, "over", 4) == 0,
         "what is wrong is told with its file");
}

/* The descriptor of what was built, or -1. */
static int build(struct span text)
{
    size_t count = 0;
    struct errors *errors = errors_create();
    int file = memfd_create("over", MFD_CLOEXEC);
    must(errors != NULL && write(file, text.data, text.size) == (ssize_t)text.size,
         "there is a file");
    int built = overrides_build(&config, file, "over", &count, errors);
    must((built < 0) == (errors_count(errors) > 0), "it is taken, or said why not");
    must(count <= text.size, "an override is more than nothing");
    errors_each(errors, has_place, NULL);
    errors_destroy(&errors);
    (void)close(file); /* it was only read */
    return built;
}

/* In memory of exactly that size. */
static void check_spoiled(struct span built, struct span changes, const char *account)
{
    struct leftover copy = {NULL, {NULL, 0}};
    struct span bytes = *leftover_join(&copy, built);
    while (changes.size >= 3 && bytes.size > 0) {
        size_t place = take_byte(&changes) | take_byte(&changes) << 8;
        copy.bytes[place % bytes.size] = (char)take_byte(&changes);
    }
    const struct sealed spoiled = {bytes};
    look_up(&spoiled, account);
    leftover_drop(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span changes = span_make((const char *)data, size), text = span_split(&changes, '\0');
    struct sealed file = {{NULL, 0}};
    struct error why;
    char account[400];
    policy.limits = limits;
    policy.limit_count = 2;
    (void)span_copy(span_split(&text, '\n'), account, sizeof account); /* cut to fit */
    int fd = build(text);
    if (fd < 0)
        return 0;
    must(sealed_map(&file, fd, &why) == 0, "what was built is sealed");
    look_up(&file, account);
    check_spoiled(file.bytes, changes, account);
    sealed_unmap(&file);
    (void)close(fd); /* it was only mapped */
    return 0;
}
