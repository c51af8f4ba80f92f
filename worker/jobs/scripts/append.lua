-- Add images to a batch that is not sealed: each becomes an item with the next number, its path, its
-- upload and its place in the queue, all or nothing. Its first write needs memory, so that a full
-- Redis refuses all of it.
--
-- The same call a second time, because the answer to the first was lost with its connection, must
-- add nothing. A request that adds alone says how many there are so far; where several add, paths that
-- the batch has are left out.
--
-- ARG job
-- ARG claim: that lists the folder, or ''
-- ARG ticket_ms: after which a ticket that is on its way is taken for lost
-- ARG known_paths: what to do with a path that the batch has: 'skip', 'rename', or '' where there
--   can be none
-- ARG before: images that the batch has, or -1 where several requests add
-- ARG skipped: files that were passed over since images were last added
-- ARG most_waiting: images of the batch that may wait
-- ARG give_up_ms: after which the batch is given up
-- ARG client_bytes: that may be stored for the batch's client; 0: any
-- EACH path, upload, fate: an image; `upload` is '' where it is read from a folder; `fate` is '', the
--   error (JSON) that it ends with at once, or '-' for a file that is no image
-- Returns {added, already there, 1 if a ticket has to be sent}; {-1} where the batch takes no more,
-- {-2} where the claim is lost, {-3} where too much waits, {-4, bytes held, bytes more} where the
-- client would hold too many.
local id, claim, before = ARG.job, ARG.claim, tonumber(ARG.before)
local job = redis.call('HMGET', K.job(id), 'status', 'sealed', 'lane', 'target', 'kind', 'total',
  'client')
if has_ended(job[1]) or job[2] == '1' then return {-1} end
if claim ~= '' and redis.call('HEXISTS', K.claim(claim), id .. ':0') == 0 then return {-2} end
if before >= 0 and before ~= tonumber(job[6]) then
  local added = 0
  for n = EACH_FIRST, #ARGV, EACH_STEP do if EACH.fate ~= '-' then added = added + 1 end end
  if before + added ~= tonumber(job[6]) then return {-1} end
  return {added, 0, 1}
end
local queue = K.queue(job[3], job[4])
if redis.call('LLEN', queue) >= tonumber(ARG.most_waiting) then return {-3} end

local more, client = 0, job[7] or ''
for n = EACH_FIRST, #ARGV, EACH_STEP do more = more + #EACH.upload end
local too_much, held = is_too_much(client, more, tonumber(ARG.client_bytes))
if too_much then return {-4, held, more} end

local function known(path)
  return redis.call('SADD', K.known(id), string.sub(redis.sha1hex(path), 1, 16)) == 0
end

local function another_name(path)
  local stem, suffix = string.match(path, '^(.*[^/])(%.[^./]*)$')
  stem, suffix = stem or path, suffix or ''
  local n = 2
  while known(stem .. ' (' .. n .. ')' .. suffix) do n = n + 1 end
  return stem .. ' (' .. n .. ')' .. suffix
end

local added, already, skipped, failed, stored = 0, 0, tonumber(ARG.skipped), 0, 0
for n = EACH_FIRST, #ARGV, EACH_STEP do
  local path, upload, fate = EACH.path, EACH.upload, EACH.fate
  local is_known = ARG.known_paths ~= '' and known(path)
  if fate == '-' then
    if not is_known then skipped = skipped + 1 end
  elseif is_known and ARG.known_paths == 'skip' then
    already = already + 1
  else
    if is_known then path = another_name(path) end
    local number = redis.call('HINCRBY', K.job(id), 'total', 1)
    redis.call('HSET', K.items(id), number, path)
    if fate ~= '' then
      -- Not among the failures that a retry queues: there is nothing to try again with.
      redis.call('HSET', K.results(id), number, 'e' .. fate)
      failed = failed + 1
    else
      if upload ~= '' then redis.call('SET', K.upload(id, number), upload) end
      stored = stored + #upload
      redis.call('RPUSH', queue, id .. ':' .. number .. ':0')
    end
    added = added + 1
  end
end
hold(client, stored)
if skipped > 0 then redis.call('HINCRBY', K.job(id), 'skipped', skipped) end
if failed > 0 then redis.call('HINCRBY', K.job(id), 'failed', failed) end
if claim == '' then
  redis.call('ZADD', K.open(), now_ms() + ARG.give_up_ms, id)
else
  -- The listing got somewhere, so it is not what kills its workers.
  redis.call('HSET', K.claim(claim), id .. ':0', 1)
end
if redis.call('LLEN', queue) > 0 then redis.call('ZADD', K.lane(job[3]), 'NX', turn_now(), job[4]) end
return {added, already, ticket_needed(job[3], ARG.ticket_ms) and 1 or 0}
