/* The auth process: many exchanges open, one step at a time, asked by the workers. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "telemetry/event.h"

struct sasl_service;

/* Checks, as auth_user and in a child of its own, that the library starts and the password store
 * can be read; what is wrong or odd is added to `errors`. `auth_user` is NULL when we can't change
 * users. */
struct identity;
void sasl_prepare(const struct config *config, const struct identity *auth_user,
                  struct errors *errors);

struct sasl_service_options {
    struct loop *loop;
    const struct config *config;
    const struct event_log *log;
    struct backend *backend;      /* of all auth processes */
    const unsigned char *secret;  /* see sasl/secrets.h */
    const struct sealed *aliases; /* NULL: none */
};

/* NULL and why when the library doesn't start. */
struct sasl_service *sasl_service_create(const struct sasl_service_options *options,
                                         struct error *why);
void sasl_service_destroy(struct sasl_service **service);

/* Takes over a channel to who asks; when that one ends, its exchanges are forgotten. One that isn't
 * a worker doesn't count for sasl_service_is_empty. */
void sasl_service_add(struct sasl_service *s, int fd, bool is_worker);

/* `fn` is called whenever the last worker's channel has ended. */
void sasl_service_on_empty(struct sasl_service *s, loop_fn *fn, void *owner);
bool sasl_service_is_empty(const struct sasl_service *s);
