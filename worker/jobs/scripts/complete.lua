-- Write the outcomes of items, each by compare-and-set: it counts only while the claim still holds
-- the item. A worker that was too late leaves no trace. The first write is an HDEL, so that results
-- can be written when Redis is full.
--
-- Item 0 of a batch is the listing of its folder: its result is the number of files that were
-- skipped since images were last added, and with it the batch is sealed.
--
-- ARG claim
-- ARG result_ms: for which results are kept
-- EACH item, field, value, label, digest: an outcome; `field` is 'result' or 'error', `value` JSON,
--   `label` the first one or '', `digest` that of the image's bytes or ''
-- Returns {1 if the claim holds nothing any more, items that were refused ...}.
local claim, ttl_ms = ARG.claim, tonumber(ARG.result_ms)
local answer, batches = {0}, {}

local function batch_of(id, job)
  if not batches[id] then batches[id] = {keep_ms = job[3], tally = new_tally(job[4])} end
  return batches[id]
end

for n = EACH_FIRST, #ARGV, EACH_STEP do
  local item, field, value = EACH.item, EACH.field, EACH.value
  if redis.call('HDEL', K.claim(claim), item) == 0 then
    answer[#answer + 1] = item
  else
    local id, number = split_item(item)
    local job = redis.call('HMGET', K.job(id), 'status', 'kind', 'keep_upload_ms', 'client')
    if has_ended(job[1]) then
      if job[2] ~= 'prediction' then hold(job[4], -drop_upload(id, number)) end
    elseif job[2] ~= 'batch' then
      end_job(id, field == 'result' and 'succeeded' or 'failed', field, value, ttl_ms)
    elseif number == '0' and field == 'error' then
      end_job(id, 'failed', 'error', value, ttl_ms)
    elseif number == '0' then
      redis.call('HINCRBY', K.job(id), 'skipped', value)
      seal_batch(id, ttl_ms)
    else
      local batch = batch_of(id, job)
      write_item(id, number, field, value, EACH.label, EACH.digest, batch.keep_ms, batch.tally)
    end
  end
end
for id, batch in pairs(batches) do settle(id, batch.tally, ttl_ms) end
if redis.call('HLEN', K.claim(claim)) <= 3 then -- only the '@' fields are left
  redis.call('DEL', K.claim(claim))
  redis.call('ZREM', K.leases(), claim)
  answer[1] = 1
end
return answer
