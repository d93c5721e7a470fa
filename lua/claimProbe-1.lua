--[[
  Claims the one probe of all half-open suspensions that cover an address; none when one of them is still running, or is being
  probed by somebody else.

  KEYS[1] hash: active suspensions of the provider, scope → JSON

  ARGV[1] now, ms
  ARGV[2] end of the claim, ms
  ARGV[3] time after which a half-open suspension is forgotten, ms
  ARGV[4] channel of the announcements
  ARGV[5...] the scopes of the address

  returns JSON of each suspension that is probed now; empty when the claim failed
]]
local now = tonumber(ARGV[1])
local found = {}
for i = 5, #ARGV do
    local stored = redis.call('HGET', KEYS[1], ARGV[i])
    local known = stored and cjson.decode(stored)
    if known and now < known['until'] + (known.class == 'operator' and 0 or tonumber(ARGV[3])) then
        if now < known['until'] or now < known.probing then
            return {}
        end
        table.insert(found, known)
    end
end
local claimed = {}
for _, known in ipairs(found) do
    known.probing = tonumber(ARGV[2])
    local json = cjson.encode(known)
    redis.call('HSET', KEYS[1], known.scope, json)
    redis.call('PUBLISH', ARGV[4], json)
    table.insert(claimed, json)
end
return claimed
