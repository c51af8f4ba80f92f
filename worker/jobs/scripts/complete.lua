-- Write the outcomes of items, each by compare-and-set: it counts only while the claim still holds
-- the item. A worker that was too late leaves no trace. The first write is an HDEL, so that results
-- can be written when Redis is full.
--
-- Item 0 of a batch is the listing of its folder: its result is the number of files that were
-- skipped since images were last added, and with it the batch is sealed.
--
-- ARGV: claim, result ttl in ms, then for each outcome: item, 'result' or 'error', JSON, first label
--       or '', digest of the image's bytes or ''.
-- Returns {1 if the claim holds nothing any more, items that were refused ...}.
local claim, ttl_ms = ARGV[1], tonumber(ARGV[2])
local answer, batches = {0}, {}

local function batch_of(id, job)
  if not batches[id] then batches[id] = {keep_ms = job[3], tally = new_tally(job[4])} end
  return batches[id]
end

for n = 3, #ARGV, 5 do
  local item, field, value = ARGV[n], ARGV[n + 1], ARGV[n + 2]
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
      write_item(id, number, field, value, ARGV[n + 3], ARGV[n + 4], batch.keep_ms, batch.tally)
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
