-- Delete uploads that nobody needs any more, and count them off their clients: of batches that were
-- cancelled or broke off, of items that were kept for a retry long enough, and pieces of files whose
-- request fell silent. Bounded, so that everybody else is served between two calls. Its first write only
-- removes, so that it works on a full Redis too.
--
-- ARG bound: uploads that are deleted at most
-- Returns {uploads deleted, 1 if there are more}.
local bound = tonumber(ARG.bound)
local done = 0

for _, id in ipairs(redis.call('SRANDMEMBER', K.purge(), 10)) do
  local job = redis.call('HMGET', K.job(id), 'lane', 'target', 'client')
  local freed, before = 0, done
  if job[1] then
    local queue = K.queue(job[1], job[2])
    while done < bound do
      local entry = redis.call('LINDEX', queue, 0)
      if not entry then break end
      local owner, number = split_entry(entry)
      if owner ~= id then break end -- a queue is a batch's own, but for one without a model
      redis.call('LPOP', queue)
      freed = freed + drop_upload(id, number)
      done = done + 1
    end
    if done < bound then
      for _, number in ipairs(redis.call('SPOP', K.failures(id), bound - done)) do
        unkeep_upload(id, number, job[3])
        freed = freed + drop_upload(id, number)
        done = done + 1
      end
    end
    hold(job[3], -freed)
    if redis.call('LLEN', queue) == 0 then redis.call('ZREM', K.lane(job[1]), job[2]) end
  end
  if done == before then redis.call('SREM', K.purge(), id) end
end

local due = redis.call('ZRANGEBYSCORE', K.kept(), '-inf', now_ms(), 'LIMIT', 0, bound)
for _, member in ipairs(due) do
  redis.call('ZREM', K.kept(), member)
  local id, number, size, client = string.match(member, '^(%w+):(%d+):(%d+):(.*)$')
  redis.call('DEL', K.upload(id, number))
  hold(client, -size)
  done = done + 1
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.arriving(), '-inf', now_ms(), 'LIMIT', 0, 10)) do
  drop_pieces(id)
  done = done + 1
end
return {done, done > 0 and 1 or 0}
