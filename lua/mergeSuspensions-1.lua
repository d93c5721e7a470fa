--[[
  Gives back to a Redis that has lost its data what a process still knows. What is stored and was struck later stays.

  KEYS[1] hash: active suspensions of the provider, scope → JSON

  ARGV[1] channel of the announcements
  ARGV[2] expiry of the hash, ms, when it is longer than what it has
  ARGV[3...] JSON of suspensions

  returns how many were taken
]]
local taken = 0
for i = 3, #ARGV do
    local given = cjson.decode(ARGV[i])
    local stored = redis.call('HGET', KEYS[1], given.scope)
    if not stored or cjson.decode(stored).struck < given.struck then
        redis.call('HSET', KEYS[1], given.scope, ARGV[i])
        redis.call('PUBLISH', ARGV[1], ARGV[i])
        taken = taken + 1
    end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return taken
