-- The counters of policy/limit/store.h in Redis. What a call asks and is answered is said there; who
-- speaks to this script is gateway/decision/redis_store.c.
--
-- ARGV[1] is "take", "marked" or "settle"; "exchange" is told below. A call is one step: all that its
-- groups take is seen by all gateways together, or not at all. Time is the server's. Whole
-- microseconds of today need 51 bits, which a Lua number holds exactly, and which call() writes with
-- all their digits; Lua's own way to make text of a number keeps 14 of them.
--
-- Each call runs all of the script: what makes no take stands behind the end of those that do.
--
-- Each counter has its keys in KEYS, from the index that the call names:
--   rate      1: the theoretical arrival time
--   at once   1: a sorted set of leases by the moment at which they end
--   distinct  3: HyperLogLogs, of half a window each
--   ratio     3: hashes { tried, bad }, likewise
-- Marks beside it (see counter_marks) have a key each, which ends with the mark.
-- Of three halves the one that began last is added to, it and the one before are counted, and the
-- third is gone or about to be: each ends by itself before its key's turn comes again.

local KEYS, ARGV = KEYS, ARGV -- a local is found faster
local call = redis.call
local floor, ceil = math.floor, math.ceil

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- ---- rates: see policy/limit/gcra.c ----

local tats = {} -- by index of key, as they are to be written at the end
local mine = {} -- likewise, as they will be if the group that is tried is taken

local function tat_of(k)
    return tats[k] or tonumber(call('GET', KEYS[k])) or 0
end

local function write_tats()
    for k, tat in pairs(tats) do
        if tat > now then
            call('SET', KEYS[k], tat, 'PX', ceil((tat - now) / 1000))
        else
            call('DEL', KEYS[k])
        end
    end
end

-- Most of all calls are these. What it is given is text, which arithmetic takes for numbers.
local function take_rate(k, increment, tolerance, delay)
    local before, due = mine[k] or tat_of(k), now + tolerance
    local last, after = due + delay, before > now and before or now
    if increment + now > last then
        return false, before, -1
    end
    after = (after < last and after or last) + increment
    if after > last then
        return false, before, after - last
    end
    mine[k] = after
    return true, after, after > due and after - due or 0
end

-- ---- at once ----

local function held(k)
    call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now)
    return call('ZCARD', KEYS[k])
end

local function expire_with_leases(k)
    local last = call('ZRANGE', KEYS[k], -1, -1, 'WITHSCORES')
    if last[2] then
        call('PEXPIREAT', KEYS[k], ceil(last[2] / 1000))
    end
end

local function lend(k, lease, lease_us)
    call('ZADD', KEYS[k], now + lease_us, lease)
    expire_with_leases(k)
end

local undo = {} -- what else the group that is tried has to put back if it isn't taken

local function take_at_once(k, most, lease, lease_us)
    local count = held(k)
    local before = call('ZSCORE', KEYS[k], lease)
    if not before and count >= tonumber(most) then
        return false, count, -1
    end
    undo[#undo + 1] = function()
        if before then
            call('ZADD', KEYS[k], before, lease)
        else
            call('ZREM', KEYS[k], lease)
        end
        expire_with_leases(k)
    end
    lend(k, lease, lease_us)
    return true, before and count or count + 1, 0
end

-- ---- halves of a window ----

local function halves(k, half)
    local number = floor(now / half)
    return KEYS[k + number % 3], KEYS[k + (number - 1) % 3], number
end

-- The half that began last counts until the one behind it has ended.
local function expire_with_half(key, number, half)
    call('PEXPIREAT', key, ceil((number + 2) * half / 1000))
end

-- Is the element one of those counted there? A HyperLogLog tells only by being added to.
local function is_in(key, element)
    local before = call('GET', key)
    if not before then
        return false
    end
    if call('PFADD', key, element) == 0 then
        return true
    end
    call('SET', key, before, 'KEEPTTL')
    return false
end

local function take_distinct(k, most, element, half)
    local current, previous = halves(k, tonumber(half))
    local count = call('PFCOUNT', current, previous)
    most = tonumber(most)
    local passes = count < most or
        count == most and (is_in(current, element) or is_in(previous, element))
    return passes, count, passes and 0 or -1
end

local function take_ratio(k, percent, least, half)
    local current, previous = halves(k, tonumber(half))
    local a, b = call('HMGET', current, 'tried', 'bad'), call('HMGET', previous, 'tried', 'bad')
    local tried, bad = (a[1] or 0) + (b[1] or 0), (a[2] or 0) + (b[2] or 0)
    local passes = tried < tonumber(least) or bad * 100 <= percent * tried
    return passes, tried, passes and 0 or -1, bad
end

-- ---- marks: a value that is when it ends ----

local marks = {} -- by the index of their take in ARGV
local is_marked = ARGV[1] == 'marked'

local function mark_left(k)
    local ends = k > 0 and call('GET', KEYS[k])
    return ends and math.max((tonumber(ends) or 0) - now, 0) or 0
end

local function mark(k, lasts)
    call('SET', KEYS[k], now + lasts, 'PX', ceil(lasts / 1000))
end

local function is_near(at, used, bad, near)
    local kind = ARGV[at]
    if kind == 'r' then
        return used - now >= near
    elseif kind == 'q' then
        return used >= tonumber(ARGV[at + 5]) and bad * 100 >= used * near
    end
    return used >= near
end

-- ---- takes: each is KIND GROUP NEEDS KEY and three numbers ----

local kinds = { r = take_rate, a = take_at_once, d = take_distinct, q = take_ratio }

-- The answer: the time, then of each take whether it was taken (1; 3: and is near), refused (2), or
-- neither for another's sake (0), or was looked at and would be refused (2); its TAT, or how many were used; the wait; how many were bad.
local TAKEN, REFUSED, NEITHER, NEAR = 1, 2, 0, 3
local answer, size = { now }, 1

-- As it stands without the group, whose takes are in ARGV from `first` up to `behind`.
local function forget_group(first, behind, is_look)
    for i = #undo, 1, -1 do
        undo[i]()
    end
    for at = first, behind - 7, 7 do
        local i, k, m = 2 + (at - 2) / 7 * 4, tonumber(ARGV[at + 3]), marks[at]
        if ARGV[at] == 'a' and (m or answer[i] == TAKEN) then
            answer[i + 1] = call('ZCARD', KEYS[k])
        end
        if answer[i] == TAKEN then
            answer[i], answer[i + 2] = NEITHER, 0
        elseif m and not is_look and answer[i] == REFUSED and m.held == 0 and m.lasts > 0 then
            mark(m.hold, m.lasts) -- what refuses goes on refusing
            answer[i + 2] = m.lasts
        end
        if ARGV[at] == 'r' then
            answer[i + 1] = math.max(tat_of(k), now)
        end
    end
end

local function tell_near(first, behind)
    for at = first, behind - 7, 7 do
        local i, m = 2 + (at - 2) / 7 * 4, marks[at]
        if m and m.near > 0 and is_near(at, answer[i + 1], answer[i + 3], m.near) and
            mark_left(m.told) == 0 then
            mark(m.told, m.every)
            answer[i] = NEAR
        end
    end
end

local function keep_group()
    if not next(tats) then
        tats = mine
        return
    end
    for k, tat in pairs(mine) do
        tats[k] = tat
    end
end

local LOOK = '65534' -- STORE_LOOK: a group that is never there

local function take(last)
    local at, taken = 2, { [LOOK] = false }
    while at <= last do
        local group, first = ARGV[at + 1], at
        local is_tried, is_look = taken[ARGV[at + 2]] ~= false, ARGV[at + 2] == LOOK
        local is_good = is_tried
        mine, undo = {}, {}
        repeat
            local passes, used, wait, bad = kinds[ARGV[at]](
                ARGV[at + 3] + 0, ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
            local m = marks[at]
            if m then
                m.held = mark_left(m.hold)
                if m.held > 0 then
                    passes, wait = false, m.held
                end
            end
            answer[size + 1] = passes and TAKEN or (is_tried or is_look) and REFUSED or NEITHER
            answer[size + 2] = used
            answer[size + 3] = is_tried and wait or m and m.held or 0
            answer[size + 4] = bad or 0
            is_good = is_good and passes
            size = size + 4
            at = at + 7
        until at > last or ARGV[at + 1] ~= group
        taken[group] = is_good
        if is_good then
            keep_group()
            if is_marked then
                tell_near(first, at)
            end
        else
            forget_group(first, at, is_look)
        end
    end
    write_tats()
    return answer
end

if ARGV[1] == 'take' then
    return take(#ARGV)
end

-- Behind the takes, of some of them: which, the key of a hold and how long it lasts, the key of what
-- tells nearness, at how much it does and how often; then of how many.
if is_marked then
    local last = #ARGV - 1 - 6 * ARGV[#ARGV]
    for i = last + 1, #ARGV - 6, 6 do
        marks[2 + 7 * ARGV[i]] = {
            hold = tonumber(ARGV[i + 1]),
            lasts = tonumber(ARGV[i + 2]),
            told = tonumber(ARGV[i + 3]),
            near = tonumber(ARGV[i + 4]),
            every = tonumber(ARGV[i + 5]),
        }
    end
    return take(last)
end

-- ---- settling: each is KIND KEY and three numbers ----

local settles = {}

function settles.g(k, increment, taken)
    local max, tat = math.max, tat_of(k)
    if tat > now then
        tats[k] = max(tat - math.min(tonumber(increment), max(taken - now, 0)), now)
    end
end

function settles.n(k, lease, lease_us)
    lend(k, lease, lease_us)
end

function settles.l(k, lease)
    call('ZREM', KEYS[k], lease)
end

function settles.d(k, element, half)
    local key, _, number = halves(k, half)
    call('PFADD', key, element)
    expire_with_half(key, number, half)
end

function settles.q(k, tried, bad, half)
    local key, _, number = halves(k, half)
    call('HINCRBY', key, 'tried', tried)
    call('HINCRBY', key, 'bad', bad)
    expire_with_half(key, number, half)
end

function settles.f(k, count, held, told)
    for i = k, k + count - 1 do
        call('DEL', KEYS[i])
        tats[i] = nil
    end
    call('DEL', KEYS[tonumber(held)], KEYS[tonumber(told)])
end

if ARGV[1] == 'settle' then
    for at = 2, #ARGV, 5 do
        settles[ARGV[at]](tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    end
    write_tats()
    return now
end

-- ---- bans, and limits that were set, as gateways tell one another: gateway/decision/exchange.c ----
--
-- ARGV: the id and the number of the last change that the caller knows, then of each row a name, a
-- value, and the millisecond when it ends. KEYS: 1: a hash of values by name, with the id of all of
-- it as "@" and the number of changes as "#"; 2: names by their last change; 3: names by their end.
-- The answer: the id, the number of changes, up to which of them this answer tells, and names with
-- their values, 64 at most.

local ROWS, YEARS = 64, 2 * 366 * 86400

local function end_rows()
    local ms = floor(now / 1000)
    for _, name in ipairs(call('ZRANGEBYSCORE', KEYS[3], '-inf', ms, 'LIMIT', 0, 100)) do
        call('HDEL', KEYS[1], name)
        call('ZREM', KEYS[2], name)
        call('ZREM', KEYS[3], name)
    end
end

local function put_rows()
    call('HSETNX', KEYS[1], '@', now)
    for at = 4, #ARGV, 3 do
        if call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then
            call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
            call('ZADD', KEYS[2], call('HINCRBY', KEYS[1], '#', 1), ARGV[at])
            call('ZADD', KEYS[3], ARGV[at + 2], ARGV[at])
        end
    end
    for k = 1, 3 do
        call('EXPIRE', KEYS[k], YEARS)
    end
end

local function exchange()
    end_rows()
    if #ARGV > 3 then
        put_rows()
    end
    local head = call('HMGET', KEYS[1], '@', '#')
    local id, changes, known = head[1] or '', tonumber(head[2] or 0), tonumber(ARGV[3])
    if id ~= ARGV[2] or known > changes then
        known = 0
    end
    local names = call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', known), '+inf', 'WITHSCORES', 'LIMIT', 0, ROWS)
    local rows = { id, changes, #names == 2 * ROWS and tonumber(names[#names]) or changes }
    for i = 1, #names, 2 do
        rows[#rows + 1] = names[i]
        rows[#rows + 1] = call('HGET', KEYS[1], names[i]) or ''
    end
    return rows
end

return exchange()
