--[[
  Takes one reroute from the budget of a provider and of a sender, or says which of them is spent.

  KEYS[1..5]  first attempts of the provider, one counter a minute, this minute first
  KEYS[6..10] reroutes of the provider, one counter a minute, this minute first
  KEYS[11]    reroutes of the sender in this hour

  ARGV[1] share: reroutes allowed per first attempt over the five minutes
  ARGV[2] floor: reroutes a minute that are always allowed
  ARGV[3] reroutes a sender may cause in an hour
  ARGV[4] expiry of a minute's counter, seconds
  ARGV[5] expiry of the sender's counter, seconds

  returns 'taken' | 'provider' | 'sender'
]]
local function sum(from, to)
    local total = 0
    for i = from, to do
        total = total + tonumber(redis.call('GET', KEYS[i]) or 0)
    end
    return total
end

if tonumber(redis.call('GET', KEYS[11]) or 0) >= tonumber(ARGV[3]) then
    return 'sender'
end
local thisMinute = tonumber(redis.call('GET', KEYS[6]) or 0)
if thisMinute >= tonumber(ARGV[2]) and sum(6, 10) >= tonumber(ARGV[1]) * sum(1, 5) then
    return 'provider'
end
redis.call('INCR', KEYS[6])
redis.call('EXPIRE', KEYS[6], ARGV[4])
redis.call('INCR', KEYS[11])
redis.call('EXPIRE', KEYS[11], ARGV[5])
return 'taken'
