--[[
  Halves the pace of a provider, down to the lowest share. Refusals of one event count once.

  KEYS[1] hash: share and since (lowered pace)

  ARGV[1] now, ms
  ARGV[2] time in which refusals are one event, ms
  ARGV[3] time in which the pace grows from nothing to the whole, ms
  ARGV[4] lowest share

  returns the share from now on as text, nil when it was lowered for the same event
]]
local now, growth = tonumber(ARGV[1]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'share', 'since')
local share = 1
if known[1] then
    local since = tonumber(known[2])
    if math.abs(now - since) < tonumber(ARGV[2]) then
        return nil
    end
    share = math.min(1, tonumber(known[1]) + math.max(0, now - since) / growth)
end
share = math.max(tonumber(ARGV[4]), share / 2)
redis.call('HSET', KEYS[1], 'share', string.format('%.17g', share), 'since', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return string.format('%.17g', share)
