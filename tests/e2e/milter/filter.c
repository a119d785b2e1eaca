/* A mail filter on libmilter that does as a script tells it, and records what it is told.
 *
 * usage: test-filter SOCKET SCRIPT RECORD [LARGEST]
 *
 * SOCKET as libmilter writes it (inet:PORT@HOST, unix:PATH). The script (script.h) is read again at
 * each negotiation, connection and MAIL, so one process serves many tests. Its stages: negotiate
 * connect helo mail rcpt data header eoh body eom abort close unknown. At negotiate there are other
 * actions: "steps HEX" (SMFIP_...: what isn't to be sent or answered, and how), "edits HEX"
 * (SMFIF_...) and "macros STAGE LIST" (SMFIM_...). LARGEST: smfi_setmaxdatasize(). */
#include "actions.h"
#include "record.h"
#include "script.h"

#include <libmilter/mfdef.h>

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char *script_file;
static atomic_int sessions;

struct session {
    int number;
    unsigned long steps; /* as negotiated */
    struct script script;
};

static const char *const macros[] = {
    "j",
    "_",
    "v",
    "i",
    "{daemon_name}",
    "{daemon_addr}",
    "{daemon_port}",
    "{if_name}",
    "{if_addr}",
    "{client_addr}",
    "{client_name}",
    "{client_port}",
    "{client_ptr}",
    "{client_resolve}",
    "{tls_version}",
    "{cipher}",
    "{cipher_bits}",
    "{cert_subject}",
    "{cert_issuer}",
    "{verify}",
    "{auth_type}",
    "{auth_authen}",
    "{auth_ssf}",
    "{auth_author}",
    "{mail_mailer}",
    "{mail_host}",
    "{mail_addr}",
    "{rcpt_mailer}",
    "{rcpt_host}",
    "{rcpt_addr}",
    "{client_connections}",
};

static struct session *session_of(SMFICTX *ctx)
{
    struct session *s = smfi_getpriv(ctx);
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s || smfi_setpriv(ctx, s) == MI_FAILURE) {
            errx(1, "no session");
        }
        s->number = ++sessions;
    }
    return s;
}

static void read_script(struct session *s)
{
    script_free(&s->script);
    script_read(&s->script, script_file);
}

static void record_stage(SMFICTX *ctx, struct record *r, const char *stage)
{
    record_begin(r, session_of(ctx)->number, stage);
    record_map_begin(r, "macros");
    for (size_t i = 0; i < sizeof(macros) / sizeof(*macros); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%s", macros[i]);
        const char *value = smfi_getsymval(ctx, name);
        if (value) {
            record_octets(r, macros[i], (const unsigned char *)value, strlen(value));
        }
    }
    record_map_end(r);
}

/* What the script says of a stage; `unanswered` is the step in which no answer is to be given where
 * that was negotiated. */
static sfsistat perform(SMFICTX *ctx, const char *stage, const char *argument,
                        unsigned long unanswered)
{
    struct session *s = session_of(ctx);
    const struct script_line *line = NULL;
    while ((line = script_next(&s->script, line, stage, argument))) {
        int answer = action_run(ctx, line);
        if (answer != ACTION_GOES_ON) {
            return answer;
        }
    }
    return s->steps & unanswered ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat told(SMFICTX *ctx, const char *stage, char **words, unsigned long unanswered)
{
    struct record r;
    record_stage(ctx, &r, stage);
    record_list(&r, "args", words);
    record_end(&r);
    return perform(ctx, stage, words[0] ? words[0] : "", unanswered);
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long edits, unsigned long steps,
                             unsigned long more, unsigned long most, unsigned long *edits_wanted,
                             unsigned long *steps_wanted, unsigned long *more_wanted,
                             unsigned long *most_wanted)
{
    (void)more, (void)most;
    struct session *s = session_of(ctx);
    read_script(s);
    *edits_wanted = edits & ~SMFIF_SETSYMLIST;
    *steps_wanted = steps & SMFIP_SKIP;
    *more_wanted = *most_wanted = 0;
    const struct script_line *l = NULL;
    while ((l = script_next(&s->script, l, "negotiate", ""))) {
        if (!strcmp(l->action, "steps")) {
            *steps_wanted = strtoul(l->words[0], NULL, 16);
        } else if (!strcmp(l->action, "edits")) {
            *edits_wanted = strtoul(l->words[0], NULL, 16);
        } else if (!strcmp(l->action, "macros")) {
            *edits_wanted |= SMFIF_SETSYMLIST;
            smfi_setsymlist(ctx, atoi(l->words[0]), l->words[1]);
        } else {
            action_run(ctx, l);
        }
    }
    s->steps = *steps_wanted;
    struct record r;
    record_begin(&r, s->number, "negotiate");
    record_number(&r, "edits", edits);
    record_number(&r, "steps", steps);
    record_end(&r);
    return SMFIS_CONTINUE;
}

static void name_address(const struct sockaddr *a, char *text, size_t room, char *port, size_t size)
{
    *text = *port = '\0';
    if (a && a->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)a;
        (void)inet_ntop(AF_INET, &v4->sin_addr, text, (socklen_t)room);
        (void)snprintf(port, size, "%d", ntohs(v4->sin_port));
    } else if (a && a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)a;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)room);
        (void)snprintf(port, size, "%d", ntohs(v6->sin6_port));
    } else if (a && a->sa_family == AF_UNIX) {
        (void)snprintf(text, room, "%s", ((const struct sockaddr_un *)(const void *)a)->sun_path);
    }
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
    char text[128], port[8];
    name_address((const struct sockaddr *)address, text, sizeof(text), port, sizeof(port));
    read_script(session_of(ctx));
    return told(ctx, "connect", (char *[]){host, text, port, NULL}, SMFIP_NR_CONN);
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
    return told(ctx, "helo", (char *[]){name, NULL}, SMFIP_NR_HELO);
}

static sfsistat on_mail(SMFICTX *ctx, char **words)
{
    read_script(session_of(ctx));
    return told(ctx, "mail", words, SMFIP_NR_MAIL);
}

static sfsistat on_rcpt(SMFICTX *ctx, char **words)
{
    return told(ctx, "rcpt", words, SMFIP_NR_RCPT);
}

static sfsistat on_data(SMFICTX *ctx)
{
    return told(ctx, "data", (char *[]){NULL}, SMFIP_NR_DATA);
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    return told(ctx, "header", (char *[]){name, value, NULL}, SMFIP_NR_HDR);
}

static sfsistat on_eoh(SMFICTX *ctx)
{
    return told(ctx, "eoh", (char *[]){NULL}, SMFIP_NR_EOH);
}

static unsigned crc_table[256];

static void make_crc_table(void)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        unsigned crc = octet;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        crc_table[octet] = crc;
    }
}

static unsigned long crc32(const unsigned char *octets, size_t size)
{
    unsigned crc = ~0U;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 8 ^ crc_table[(crc ^ octets[i]) & 255];
    }
    return ~crc;
}

/* A chunk is recorded by its size and CRC-32, and whole where it is short. */
static sfsistat on_body(SMFICTX *ctx, unsigned char *octets, size_t size)
{
    struct record r;
    record_stage(ctx, &r, "body");
    record_number(&r, "size", size);
    record_number(&r, "crc", (unsigned)crc32(octets, size));
    record_octets(&r, "text", octets, size > 4096 ? 0 : size);
    record_end(&r);
    return perform(ctx, "body", "", SMFIP_NR_BODY);
}

static sfsistat on_eom(SMFICTX *ctx)
{
    return told(ctx, "eom", (char *[]){NULL}, 0);
}

static sfsistat on_abort(SMFICTX *ctx)
{
    return told(ctx, "abort", (char *[]){NULL}, 0);
}

static sfsistat on_close(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);
    sfsistat answer = told(ctx, "close", (char *[]){NULL}, 0);
    script_free(&s->script);
    free(s);
    smfi_setpriv(ctx, NULL);
    return answer;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *line)
{
    char copy[1024];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    return told(ctx, "unknown", (char *[]){copy, NULL}, SMFIP_NR_UNKN);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        errx(2, "usage: test-filter SOCKET SCRIPT RECORD [LARGEST]");
    }
    script_file = argv[2];
    make_crc_table();
    record_open(argv[3]);
    if (argc > 4) {
        smfi_setmaxdatasize((size_t)atol(argv[4]));
    }
    char name[] = "test-filter";
    struct smfiDesc filter = {
        .xxfi_name = name,
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = SMFI_CURR_ACTS,
        .xxfi_connect = on_connect,
        .xxfi_helo = on_helo,
        .xxfi_envfrom = on_mail,
        .xxfi_envrcpt = on_rcpt,
        .xxfi_header = on_header,
        .xxfi_eoh = on_eoh,
        .xxfi_body = on_body,
        .xxfi_eom = on_eom,
        .xxfi_abort = on_abort,
        .xxfi_close = on_close,
        .xxfi_unknown = on_unknown,
        .xxfi_data = on_data,
        .xxfi_negotiate = on_negotiate,
    };
    if (smfi_setconn(argv[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE) {
        errx(1, "libmilter refuses %s", argv[1]);
    }
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
