-- Hand back what is left of a claim, because its worker stops or cannot do it.
--
-- ARG claim
-- ARG counts: '1' if this was an attempt
-- ARG max_attempts
-- ARG reason: a sentence
-- ARG result_ms: for which results are kept
-- Returns the number of items handed back.
local claim, counts, max_attempts = ARG.claim, ARG.counts == '1', tonumber(ARG.max_attempts)
local about, items = take_apart(claim)
for _, row in ipairs(items) do
  local attempts = counts and row[2] or row[2] - 1
  requeue(row[1], attempts, about['@lane'], about['@target'], max_attempts, ARG.reason,
    tonumber(ARG.result_ms))
end
return #items
