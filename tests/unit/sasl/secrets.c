#include "sasl/secrets.h"

#include "scram_client.h"

/* The example of RFC 7677 section 3. */
#define SERVER_FIRST \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT_PROOF "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF         "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define VERIFIER      "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define SAID          "n=user,r=rOprNGfwEbeRWgbNEkqO," SERVER_FIRST "," WITHOUT_PROOF

START_TEST(the_client_of_these_tests_agrees_with_rfc_7677)
{
    struct scram_client c = {
        .user = "user", .password = "pencil", .nonce = "rOprNGfwEbeRWgbNEkqO", .header = "n,,"};
    scram_begin(&c);
    ck_assert_str_eq(c.first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    scram_answer(&c, span_of(SERVER_FIRST));
    ck_assert_str_eq(c.final, WITHOUT_PROOF ",p=" PROOF);
    ck_assert_str_eq(c.verifier, "v=" VERIFIER);
}
END_TEST

START_TEST(keys_are_those_of_rfc_7677)
{
    unsigned char salt[16], stored[32], server[32], proof[32], signature[32], hash[32];
    char encoded[64];
    ck_assert_int_eq(base64_decode(span_of("W22ZaJ0SNY7soEsUEjb6gQ=="), (char *)salt, 16), 16);
    ck_assert_int_eq(scram_derive("pencil", salt, 16, 4096, stored, server), 0);
    scram_mac(server, SAID, signature);
    (void)base64_encode(span_make((char *)signature, 32), encoded);
    ck_assert_str_eq(encoded, VERIFIER);
    ck_assert_int_eq(base64_decode(span_of(PROOF), (char *)proof, 32), 32);
    scram_mac(stored, SAID, signature);
    for (int i = 0; i < 32; i++)
        proof[i] ^= signature[i]; /* ClientKey, of which StoredKey is the hash */
    ck_assert_int_eq(EVP_Digest(proof, 32, hash, NULL, EVP_sha256(), NULL), 1);
    ck_assert_mem_eq(hash, stored, 32);
}
END_TEST

SUITE(secrets)
{
    TEST(the_client_of_these_tests_agrees_with_rfc_7677);
    TEST(keys_are_those_of_rfc_7677);
}
