--[[
  Clears the suspensions that an accepted delivery disproves. Their strikes count on for a while, one fewer.

  KEYS[1] hash: active suspensions of the provider, scope → JSON
  KEYS[2] hash: strikes that outlive a suspension, "scope class" → "count until"
  KEYS[3] hash: last acceptance, scope → time

  ARGV[1] JSON of the success (lib/health/suspension.ts)
  ARGV[2] time in which refused parts are counted, ms
  ARGV[3] time after which a half-open suspension is forgotten, ms
  ARGV[4] channel of the announcements

  returns the scopes that were cleared
]]
local success = cjson.decode(ARGV[1])
local now = success.now
local cleared = {}
for _, scope in ipairs(success.scopes) do
    local last = tonumber(redis.call('HGET', KEYS[3], scope) or 0)
    redis.call('HSET', KEYS[3], scope, string.format('%.0f', math.max(last, now)))
    local stored = redis.call('HGET', KEYS[1], scope)
    local known = stored and cjson.decode(stored)
    if known and known.class ~= 'operator' and known.struck < success.startedAt and now < known['until'] + tonumber(ARGV[3]) then
        local remembered = 2 * (known['until'] - known.struck)
        redis.call('HSET', KEYS[2], scope .. ' ' .. known.class, string.format('%.0f %.0f', known.strikes - 1, now + remembered))
        if redis.call('PTTL', KEYS[2]) < remembered then
            redis.call('PEXPIRE', KEYS[2], string.format('%.0f', remembered))
        end
        redis.call('HDEL', KEYS[1], scope)
        redis.call('PUBLISH', ARGV[4], cjson.encode({ provider = success.provider, scope = scope }))
        table.insert(cleared, scope)
    end
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return cleared
