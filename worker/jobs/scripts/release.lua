-- Hand back what is left of a claim, because its worker stops or cannot do it.
--
-- ARGV: claim, 1 if the attempt counts, max attempts, reason, result ttl in ms.
-- Returns the number of items handed back.
local claim, counts, max_attempts = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local rows = redis.call('HGETALL', K.claim(claim))
local about, items = {}, {}
for n = 1, #rows, 2 do
  if string.sub(rows[n], 1, 1) == '@' then about[rows[n]] = rows[n + 1]
  else items[#items + 1] = {rows[n], tonumber(rows[n + 1])} end
end
redis.call('DEL', K.claim(claim))
redis.call('ZREM', K.leases(), claim)
for _, row in ipairs(items) do
  local attempts = counts and row[2] or row[2] - 1
  requeue(row[1], attempts, about['@lane'], about['@target'], max_attempts, ARGV[4], tonumber(ARGV[5]))
end
return #items
