--[[
  Suspends the scope that a refusal blames, and the wider ones that have enough struck parts. The rules are those of
  lib/health/memory-health.ts, and test/contract/health.test.ts holds both to the same answers.

  KEYS[1] hash: active suspensions of the provider, scope → JSON
  KEYS[2] hash: strikes that outlive a suspension, "scope class" → "count until"
  KEYS[3] hash: refused parts of ranges, "scope part" → "time message"
  KEYS[4] hash: last acceptance, scope → time

  ARGV[1]  JSON of the strike (lib/health/suspension.ts): scopes narrowest first, base counted from 0
  ARGV[2]  JSON of the class's cool-down: first, factor, maximum, ms
  ARGV[3]  refused parts that suspend a range
  ARGV[4]  refused parts that suspend the provider
  ARGV[5]  time in which strikes are one event, ms
  ARGV[6]  time in which refused parts are counted, ms
  ARGV[7]  time after which a half-open suspension is forgotten, ms
  ARGV[8]  channel of the announcements

  returns JSON of each suspension that came or changed
]]
local strike = cjson.decode(ARGV[1])
local coolDown = cjson.decode(ARGV[2])
local sameEvent, window, forgottenAfter = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now, scopes, base = strike.now, strike.scopes, strike.base + 1
local changed = {}

local function find(scope)
    local stored = redis.call('HGET', KEYS[1], scope)
    local known = stored and cjson.decode(stored)
    if known and now < known['until'] + (known.class == 'operator' and 0 or forgottenAfter) then
        return known
    end
    return nil
end

local function isRunning(known)
    return known ~= nil and now < known['until']
end

local function keepFor(key, ms)
    if redis.call('PTTL', key) < ms then
        redis.call('PEXPIRE', key, string.format('%.0f', ms))
    end
end

local function suspend(scope)
    local known = find(scope)
    local earlier = 0
    if known and known.class == strike.class then
        earlier = known.strikes
    else
        local count, ends = string.match(redis.call('HGET', KEYS[2], scope .. ' ' .. strike.class) or '', '^(%d+) (%d+)$')
        if count and now < tonumber(ends) then
            earlier = tonumber(count)
        end
    end
    local ms = math.max(math.min(coolDown.first * coolDown.factor ^ earlier, coolDown.maximum), math.min(strike.retryAfter, coolDown.maximum))
    local ends = now + math.floor(ms + 0.5)
    local suspension
    if known and known.class ~= strike.class and known['until'] > ends then
        suspension = known
        suspension.struck = now
    else
        suspension = { provider = strike.provider, scope = scope, class = strike.class, code = strike.code, strikes = earlier + 1, struck = now, probing = 0, note = strike.note }
        suspension['until'] = math.max(ends, known and known['until'] or 0)
    end
    local json = cjson.encode(suspension)
    redis.call('HSET', KEYS[1], scope, json)
    keepFor(KEYS[1], suspension['until'] - now + forgottenAfter)
    redis.call('PUBLISH', ARGV[8], json)
    table.insert(changed, json)
end

-- is the range to be suspended, after this part of it was refused too?
local function note(scope, part, accepted)
    redis.call('HSET', KEYS[3], scope .. ' ' .. part, string.format('%.0f %s', now, strike.message))
    local stored = redis.call('HGETALL', KEYS[3])
    local parts, messages, distinct = 0, {}, 0
    for i = 1, #stored, 2 do
        local at, message = string.match(stored[i + 1], '^(%d+) (.*)$')
        if tonumber(at) <= now - window then
            redis.call('HDEL', KEYS[3], stored[i])
        elseif tonumber(at) > accepted and string.sub(stored[i], 1, #scope + 1) == scope .. ' ' then
            parts = parts + 1
            if not messages[message] then
                messages[message] = true
                distinct = distinct + 1
            end
        end
    end
    local needed = tonumber(scope == 'provider' and ARGV[4] or ARGV[3])
    if accepted > now - window then
        needed = 2 * needed
    end
    return parts >= needed and distinct > 1
end

local accepted = {}
for i, scope in ipairs(scopes) do
    accepted[i] = math.max(tonumber(redis.call('HGET', KEYS[4], scope) or 0), strike.accepted[i] or 0)
    if accepted[i] > now - window then
        redis.call('HSET', KEYS[4], scope, string.format('%.0f', accepted[i]))
    end
end
keepFor(KEYS[4], window)

for i = base, #scopes do
    local known = find(scopes[i])
    if isRunning(known) and known.class == strike.class and now - known.struck < sameEvent then
        return changed
    end
end
suspend(scopes[base])
local family = #scopes - 1
for i = base + 1, #scopes do
    -- a family is made of suspended ranges, the provider of suspended families: a single message tries many ranges
    local counts = i < family or isRunning(find(scopes[i - 1]))
    if counts and not strike.undecided[i] and note(scopes[i], scopes[i - 1], accepted[i]) and not isRunning(find(scopes[i])) then
        suspend(scopes[i])
    end
end
keepFor(KEYS[3], window)
return changed
