/* The milter protocol's own letters and bits, versions 2 to 6, as libmilter's mfdef.h and mfapi.h
 * have them: a filter may be built with another library, or with none. */
#pragma once

#include <stdint.h>

enum { MILTER_VERSION_MIN = 2, MILTER_VERSION = 6 };

/* Commands, to the filter. */
enum milter_command {
    MILTER_COMMAND_ABORT = 'A',
    MILTER_COMMAND_BODY = 'B',
    MILTER_COMMAND_CONNECT = 'C',
    MILTER_COMMAND_MACROS = 'D',
    MILTER_COMMAND_END = 'E', /* of the body: the message is whole */
    MILTER_COMMAND_HELO = 'H',
    MILTER_COMMAND_QUIT_NC = 'K', /* this client is gone, another one follows */
    MILTER_COMMAND_HEADER = 'L',
    MILTER_COMMAND_MAIL = 'M',
    MILTER_COMMAND_EOH = 'N',
    MILTER_COMMAND_OPTIONS = 'O',
    MILTER_COMMAND_QUIT = 'Q',
    MILTER_COMMAND_RCPT = 'R',
    MILTER_COMMAND_DATA = 'T',
    MILTER_COMMAND_UNKNOWN = 'U',
};

/* Replies. */
enum milter_reply_code {
    MILTER_REPLY_ADD_RCPT = '+',
    MILTER_REPLY_DELETE_RCPT = '-',
    MILTER_REPLY_ADD_RCPT_WITH = '2', /* parameters */
    MILTER_REPLY_SHUTDOWN = '4',
    MILTER_REPLY_ACCEPT = 'a',
    MILTER_REPLY_BODY = 'b', /* a piece of the new one */
    MILTER_REPLY_CONTINUE = 'c',
    MILTER_REPLY_DISCARD = 'd',
    MILTER_REPLY_CHANGE_SENDER = 'e',
    MILTER_REPLY_CONNECTION_FAILURE = 'f',
    MILTER_REPLY_ADD_HEADER = 'h',
    MILTER_REPLY_INSERT_HEADER = 'i',
    MILTER_REPLY_CHANGE_HEADER = 'm',
    MILTER_REPLY_PROGRESS = 'p',
    MILTER_REPLY_QUARANTINE = 'q',
    MILTER_REPLY_REJECT = 'r',
    MILTER_REPLY_SKIP = 's',
    MILTER_REPLY_TEMPFAIL = 't',
    MILTER_REPLY_TEXT = 'y', /* a refusal in its own words */
};

/* What a filter may do to a message. */
enum {
    MILTER_MAY_ADD_HEADERS = 0x1,
    MILTER_MAY_CHANGE_BODY = 0x2,
    MILTER_MAY_ADD_RCPT = 0x4,
    MILTER_MAY_DELETE_RCPT = 0x8,
    MILTER_MAY_CHANGE_HEADERS = 0x10,
    MILTER_MAY_QUARANTINE = 0x20,
    MILTER_MAY_CHANGE_SENDER = 0x40,
    MILTER_MAY_ADD_RCPT_WITH = 0x80,
    MILTER_MAY_LIST_MACROS = 0x100,
    MILTER_MAY_ALL = 0x1ff,
};

/* What it wants not to be told, and what it doesn't answer. */
enum {
    MILTER_NO_CONNECT = 0x1,
    MILTER_NO_HELO = 0x2,
    MILTER_NO_MAIL = 0x4,
    MILTER_NO_RCPT = 0x8,
    MILTER_NO_BODY = 0x10,
    MILTER_NO_HEADERS = 0x20,
    MILTER_NO_EOH = 0x40,
    MILTER_MUTE_HEADER = 0x80,
    MILTER_NO_UNKNOWN = 0x100,
    MILTER_NO_DATA = 0x200,
    MILTER_MAY_SKIP = 0x400,
    MILTER_WANTS_REFUSED_RCPT = 0x800,
    MILTER_MUTE_CONNECT = 0x1000,
    MILTER_MUTE_HELO = 0x2000,
    MILTER_MUTE_MAIL = 0x4000,
    MILTER_MUTE_RCPT = 0x8000,
    MILTER_MUTE_DATA = 0x10000,
    MILTER_MUTE_UNKNOWN = 0x20000,
    MILTER_MUTE_EOH = 0x40000,
    MILTER_MUTE_BODY = 0x80000,
    MILTER_LEADING_SPACE = 0x100000, /* of a field's value is told, and is the filter's to give */
    MILTER_DATA_256K = 0x10000000,
    MILTER_DATA_1M = 0x20000000,
    MILTER_PROTOCOL_ALL = 0x301fffff,
};

/* Octets of data in a frame, behind its length and its letter. */
enum {
    MILTER_DATA_MAX = 65535,
    MILTER_DATA_MAX_256K = 256 * 1024 - 1,
    MILTER_DATA_MAX_1M = 1024 * 1024 - 1,
};
