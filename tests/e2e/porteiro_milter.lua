-- What porteiro-milter answers stage by stage, to an MTA that speaks as none does: no HELO, no macros where
-- there is no login, two messages in a connection, a message that is given up. SOCKET comes from the test.
local function expect(wanted, what)
    local got = mt.getreply(conn)
    if got ~= wanted then
        error(what .. ": " .. string.char(got) .. " instead of " .. string.char(wanted))
    end
end

local function envelope(login, recipients)
    if login then
        mt.macro(conn, SMFIC_MAIL, "{auth_authen}", login)
    end
    mt.mailfrom(conn, "<alice@example.com>")
    expect(SMFIR_CONTINUE, "MAIL")
    for i = 1, recipients do
        mt.rcptto(conn, "<r" .. i .. "@dest.example>")
        expect(SMFIR_CONTINUE, "RCPT " .. i)
    end
end

local function text(from)
    mt.data(conn)
    expect(SMFIR_CONTINUE, "DATA")
    mt.header(conn, "From", from)
    expect(SMFIR_CONTINUE, "From")
    mt.header(conn, "Subject", "hello")
    expect(SMFIR_CONTINUE, "Subject")
    mt.eoh(conn)
end

conn = mt.connect(SOCKET)
if conn == nil then
    error("no connection")
end
mt.conninfo(conn, "client.example", "192.0.2.9")
expect(SMFIR_CONTINUE, "connect")

envelope("alice@example.com", 3)
mt.rcptto(conn, "<more@dest.example>")
expect(SMFIR_REPLYCODE, "one recipient too many")
mt.abort(conn)

envelope("alice@example.com", 3) -- what was given back is there again
text("alice@example.com")
expect(SMFIR_CONTINUE, "end of headers")
mt.eom(conn)
expect(SMFIR_CONTINUE, "end of message")

mt.macro(conn, SMFIC_MAIL, "{auth_authen}", "alice@example.com")
mt.mailfrom(conn, "<boss@bank.example>")
expect(SMFIR_REPLYCODE, "another's sender")
mt.abort(conn)

envelope("bob@example.com", 0)
mt.abort(conn)
mt.macro(conn, SMFIC_MAIL, "{auth_authen}", "two words")
mt.mailfrom(conn, "<alice@example.com>")
expect(SMFIR_REPLYCODE, "a login that is no account")
mt.abort(conn)

-- What is refused after its recipients is given back at once: libmilter hears no abort of it.
envelope("bob@example.com", 3)
text("boss@bank.example")
expect(SMFIR_REPLYCODE, "another's From")
mt.abort(conn)
first = conn
conn = mt.connect(SOCKET)
mt.conninfo(conn, "client.example", "192.0.2.9")
envelope("bob@example.com", 3)
mt.disconnect(conn)
mt.disconnect(first)
