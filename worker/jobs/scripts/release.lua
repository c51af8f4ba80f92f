-- Hand back what is left of a claim, because its worker stops or cannot do it.
--
-- ARGV: claim, 1 if the attempt counts, max attempts, reason, result ttl in ms.
-- Returns the number of items handed back.
local claim, counts, max_attempts = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local about, items = take_apart(claim)
for _, row in ipairs(items) do
  local attempts = counts and row[2] or row[2] - 1
  requeue(row[1], attempts, about['@lane'], about['@target'], max_attempts, ARGV[4], tonumber(ARGV[5]))
end
return #items
