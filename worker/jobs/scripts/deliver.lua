-- Give a deliverer webhooks that are due, each under a lease: one whose deliverer dies is due again
-- when that runs out. A deliverer that comes late sees by the token that another has it. Hosts are served
-- in turn, and none gets more at once than its share, so that a slow one delays no other.
--
-- The first write is a DEL, so that a full Redis can still be worked empty.
--
-- ARG lease_ms
-- ARG most: deliveries that are taken at most
-- ARG most_to_a_host: at the same time
-- ARG under_way: how many are being sent to each host (JSON)
-- Returns {ms until the next is due or -1, {delivery, names and values ...}, ...}.
local lease_ms, most = tonumber(ARG.lease_ms), tonumber(ARG.most)
local share, under_way = tonumber(ARG.most_to_a_host), cjson.decode(ARG.under_way)
local now = now_ms()
redis.call('DEL', K.due())

local taken = {}
local function take(host, count)
  local due = redis.call('ZRANGEBYSCORE', K.webhooks(host), '-inf', now, 'LIMIT', 0, count)
  for _, delivery in ipairs(due) do
    if redis.call('EXISTS', K.webhook(delivery)) == 0 then
      redis.call('ZREM', K.webhooks(host), delivery)
    else
      redis.call('HINCRBY', K.webhook(delivery), 'token', 1)
      redis.call('ZADD', K.webhooks(host), now + lease_ms, delivery)
      taken[#taken + 1] = {delivery, unpack(redis.call('HGETALL', K.webhook(delivery)))}
    end
  end
  local first = redis.call('ZRANGE', K.webhooks(host), 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', K.receivers(), math.max(tonumber(first[2]), turn_now()), host)
  else
    redis.call('ZREM', K.receivers(), host)
  end
end

-- More hosts are examined than can be busy at once, so that busy ones do not hide the others.
local next_ms = -1
for _, host in ipairs(redis.call('ZRANGEBYSCORE', K.receivers(), '-inf', now, 'LIMIT', 0, most + 1000)) do
  local free = math.min(share - (under_way[host] or 0), most - #taken)
  if free > 0 then take(host, free) end
end
local first = redis.call('ZRANGEBYSCORE', K.receivers(), now + 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if first[1] then next_ms = math.ceil(first[2] - now) end
return {next_ms, unpack(taken)}
