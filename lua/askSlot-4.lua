--[[
  Asks for a slot in the pace of a provider, and takes it: the pool's, and that of the first candidate that has one. The rules are
  those of lib/health/memory-pace.ts, and test/contract/pace.test.ts holds both to the same answers.

  KEYS[1] hash: share and since (lowered pace), c0..c5 (messages that went out, "step count")
  KEYS[2] zset: lanes of a minute, "pool" or address → end of the last slot that was taken; with " line" the end of the line
  KEYS[3] zset: lanes of a day, of addresses in warm-up
  KEYS[4] zset: deliveries under way, "address delivery" → time when they are forgotten

  ARGV[1] now, ms
  ARGV[2] JSON of the limits: spacings (pool, address, 0: none) and connections (pool, address, 0: none)
  ARGV[3] JSON of the request: delivery, waited, more, candidates (address, and spacing of its day, 0: none)
  ARGV[4] JSON of the constants in lib/health/pace.ts

  returns { number of the candidate, 0: none; its turn in the line of that candidate (of the pool, when there is none), 0: it may go;
            for each candidate without a slot, until when }
]]
local now = tonumber(ARGV[1])
local limits, request, constants = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), cjson.decode(ARGV[4])

-- all digits: the stores reckon alike
local function exact(number)
    return string.format('%.17g', number)
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', exact(now - constants.slack.minute))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', exact(now - constants.slack.day))

local lowered = redis.call('HMGET', KEYS[1], 'share', 'since')
local share = 1
if lowered[1] then
    share = math.min(1, tonumber(lowered[1]) + math.max(0, now - tonumber(lowered[2])) / constants.growth)
end

local function minuteLane(name, spacing)
    return { key = KEYS[2], name = name, spacing = spacing / share, slack = constants.slack.minute }
end

-- what lies further in the future than any of our own times can is of a clock that was wrong, and is set right
local function endOf(lane, name, latest)
    local score = tonumber(redis.call('ZSCORE', lane.key, name) or 0)
    if score > latest then
        redis.call('ZADD', lane.key, exact(latest), name)
    end
    return math.min(score, latest)
end

local function slotOf(lane)
    return math.max(endOf(lane, lane.name, now + lane.spacing), now - lane.slack)
end

local function lineOf(lane)
    return endOf(lane, lane.name .. ' line', now + constants.longest + lane.spacing)
end

local function freeAt(lanes, at)
    for _, lane in ipairs(lanes) do
        at = math.max(at, slotOf(lane), request.waited and 0 or lineOf(lane))
    end
    return at
end

local function take(lanes)
    for _, lane in ipairs(lanes) do
        redis.call('ZADD', lane.key, exact(slotOf(lane) + lane.spacing), lane.name)
    end
end

local function stand(lanes, at)
    for _, lane in ipairs(lanes) do
        at = math.max(at, lineOf(lane))
    end
    at = math.min(at, now + constants.longest)
    for _, lane in ipairs(lanes) do
        redis.call('ZADD', lane.key, exact(at + lane.spacing), lane.name .. ' line')
    end
    return math.ceil(at)
end

local function keep()
    redis.call('PEXPIRE', KEYS[1], constants.growth)
    redis.call('PEXPIRE', KEYS[2], 2 * constants.longest)
    redis.call('PEXPIRE', KEYS[3], constants.kept)
    redis.call('PEXPIRE', KEYS[4], constants.lease)
end

local underWay, total = {}, 0
local counts = limits.poolConnections > 0 or limits.addressConnections > 0
if counts then
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', exact(now))
    for _, member in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
        local address = string.match(member, '^%S+')
        underWay[address] = (underWay[address] or 0) + 1
        total = total + 1
    end
end

local pool = limits.pool > 0 and { minuteLane('pool', limits.pool) } or {}
local poolAt = freeAt(pool, now)
if limits.poolConnections > 0 and total >= limits.poolConnections then
    poolAt = math.max(poolAt, now + constants.connectionWait)
end
if poolAt > now then
    local at = stand(pool, poolAt)
    keep()
    return { 0, at }
end

local rooms, first, firstNumber, firstLanes = {}, nil, nil, nil
for number, candidate in ipairs(request.candidates) do
    local lanes = limits.address > 0 and { minuteLane(candidate.address, limits.address) } or {}
    if candidate.day > 0 then
        table.insert(lanes, { key = KEYS[3], name = candidate.address, spacing = candidate.day, slack = constants.slack.day })
    end
    local at = freeAt(lanes, now)
    if limits.addressConnections > 0 and (underWay[candidate.address] or 0) >= limits.addressConnections then
        at = math.max(at, now + constants.connectionWait)
    end
    if at <= now then
        take(pool)
        take(lanes)
        if counts then
            redis.call('ZADD', KEYS[4], exact(now + constants.lease), candidate.address .. ' ' .. request.delivery)
        end
        local step = math.floor(now / constants.step)
        local field = 'c' .. step % constants.steps
        local known, count = string.match(redis.call('HGET', KEYS[1], field) or '', '^(%d+) (%d+)$')
        redis.call('HSET', KEYS[1], field, string.format('%.0f %.0f', step, tonumber(known) == step and count + 1 or 1))
        keep()
        return { number, 0, unpack(rooms) }
    end
    table.insert(rooms, math.ceil(at))
    if not first or at < first then
        first, firstNumber, firstLanes = at, number, lanes
    end
end
if request.more then
    return { 0, 0, unpack(rooms) }
end
local at = stand(firstLanes, first)
keep()
return { firstNumber, at, unpack(rooms) }
