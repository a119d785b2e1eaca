/* A filter that does nothing, and asks for everything: each command, header and piece of a body is
 * shown to it, and waits for its answer.
 *
 * usage: bench-milter SOCKET   as smfi_setconn takes it: inet:PORT@127.0.0.1 */
#include <libmilter/mfapi.h>
#include <stdio.h>

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
    (void)ctx, (void)host, (void)address;
    return SMFIS_CONTINUE;
}

static sfsistat on_word(SMFICTX *ctx, char *word)
{
    (void)ctx, (void)word;
    return SMFIS_CONTINUE;
}

static sfsistat on_path(SMFICTX *ctx, char **arguments)
{
    (void)ctx, (void)arguments;
    return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    (void)ctx, (void)name, (void)value;
    return SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *text, size_t size)
{
    (void)ctx, (void)text, (void)size;
    return SMFIS_CONTINUE;
}

static sfsistat on_moment(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
    (void)ctx, (void)command;
    return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
    char name[] = "bench";
    struct smfiDesc filter = {.xxfi_name = name,
                              .xxfi_version = SMFI_VERSION,
                              .xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY |
                                            SMFIF_ADDRCPT | SMFIF_DELRCPT | SMFIF_CHGFROM |
                                            SMFIF_QUARANTINE,
                              .xxfi_connect = on_connect,
                              .xxfi_helo = on_word,
                              .xxfi_envfrom = on_path,
                              .xxfi_envrcpt = on_path,
                              .xxfi_header = on_header,
                              .xxfi_eoh = on_moment,
                              .xxfi_body = on_body,
                              .xxfi_eom = on_moment,
                              .xxfi_abort = on_moment,
                              .xxfi_close = on_moment,
                              .xxfi_unknown = on_unknown,
                              .xxfi_data = on_moment};
    if (argc != 2 || smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS) {
        (void)fputs("usage: bench-milter SOCKET\n", stderr);
        return 2;
    }
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
