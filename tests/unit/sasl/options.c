#include "sasl/options.h"

#include "config/folder.h"

static int read_of(const char *auth, struct error *why)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   HOSTNAME TLS UPSTREAMS "auth = { backend = \"auxprop\" %s }\n", auth); /* fits */
    (void)config_of(text);
    count_is(0, 0);
    return options_read(config, why);
}

static void is(const char *key, const char *value)
{
    const char *found = options_find(key);
    if (value == NULL)
        ck_assert_ptr_null(found);
    else
        ck_assert_str_eq(found, value);
}

START_TEST(options_are_found_by_name_the_files_first)
{
    struct error why;
    char auth[1024];
    folder_write("options", "# secret\nsql_passwd: a secret\nsql_user: file\n");
    (void)snprintf(auth, sizeof auth,
                   "options = [\"auxprop_plugin=sql\", \"sql_user=conf\", \"sql_select=a = b\", "
                   "\"empty=\"] options_file = \"%s\"",
                   folder_path("options")); /* fits */
    ck_assert_int_eq(read_of(auth, &why), 0);
    is("auxprop_plugin", "sql");
    is("sql_passwd", "a secret");
    is("sql_user", "file");
    is("sql_select", "a = b");
    is("empty", "");
    is("sql", NULL);
    is("secret", NULL);
    options_forget();
    is("auxprop_plugin", NULL);
}
END_TEST

START_TEST(a_file_that_is_wrong_or_missing_is_told)
{
    struct error why = {.text = ""};
    char auth[1024];
    folder_write("options", "a: b\nwrong\nwrong\n");
    (void)snprintf(auth, sizeof auth, "options = [\"auxprop_plugin=sql\"] options_file = \"%s\"",
                   folder_path("options")); /* fits */
    ck_assert_int_eq(read_of(auth, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "options:2: write it as"));
    ck_assert_int_eq(unlink(folder_path("options")), 0);
    ck_assert_int_eq(read_of(auth, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "options: No such file"));
    options_forget();
}
END_TEST

SUITE(options)
{
    folder_use(tests);
    TEST(options_are_found_by_name_the_files_first);
    TEST(a_file_that_is_wrong_or_missing_is_told);
}
