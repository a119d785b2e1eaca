/* A password store of saslpasswd2 in a temporary folder, and the configuration that names it. */
#pragma once

#include "config/folder.h"

static const unsigned char store_secret[] = "thirty-two octets of a secret...";

/* Adds a user, or gives him another password. */
static inline void store_set(const char *realm, const char *user, const char *password)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "saslpasswd2 -p -c -f %s -u %s %s",
                   folder_path("sasldb2"), realm, user); /* fits */
    FILE *pipe = popen(command, "we");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_ge(fputs(password, pipe), 0);
    ck_assert_int_eq(pclose(pipe), 0);
}

static inline void store_make(void)
{
    folder_make();
    ck_assert_int_eq(chmod(folder, 0755), 0); /* for who is not root */
    store_set("example.com", "ana", "secret");
    store_set("example.com", "rui", "password of rui");
    store_set("xn--bcher-kva.example", "ana", "another");
}

static inline void store_configure(const char *file)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   HOSTNAME TLS UPSTREAMS "auth = { sasldb = \"%s\" realm = \"example.com\" }\n",
                   folder_path(file)); /* fits */
    (void)config_of(text);
    count_is(0, 0);
}

/* The folder, with its users, is there for all tests of the suite. */
static inline void store_use(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, store_make, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, findings_end);
}
