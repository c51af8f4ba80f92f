-- Add images to a batch that is open: each becomes an item with the next number, its path, its upload
-- and its place in the queue, all or nothing.
--
-- ARGV: id, claim that lists the folder or '', ticket_ms, what to do with a path that the batch has:
--       'skip' or 'rename', files skipped meanwhile, most items waiting, result ttl in ms, then for
--       each image: path, upload bytes or '', '' or the error (JSON) that it ends with at once.
-- Returns {added, already there, 1 if a ticket has to be sent}; {-1} where the batch takes no more,
-- {-2} where the claim is lost, {-3} where too much waits.
local id, claim, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[7])
local job = redis.call('HMGET', K.job(id), 'status', 'sealed', 'lane', 'target', 'kind')
if (job[1] ~= 'queued' and job[1] ~= 'running') or job[2] == '1' then return {-1} end
if claim ~= '' and redis.call('HEXISTS', K.claim(claim), id .. ':0') == 0 then return {-2} end
local queue = K.queue(job[3], job[4])
if redis.call('LLEN', queue) > tonumber(ARGV[6]) then return {-3} end

local function known(path)
  return redis.call('SADD', K.known(id), string.sub(redis.sha1hex(path), 1, 16)) == 0
end

local function another_name(path)
  local stem, suffix = string.match(path, '^(.*)(%.[^./]*)$')
  stem, suffix = stem or path, suffix or ''
  local n = 2
  while known(stem .. ' (' .. n .. ')' .. suffix) do n = n + 1 end
  return stem .. ' (' .. n .. ')' .. suffix
end

local added, already = 0, 0
for n = 8, #ARGV, 3 do
  local path, is_known = ARGV[n], claim == '' and known(ARGV[n])
  if is_known and ARGV[4] == 'skip' then
    already = already + 1
  else
    if is_known then path = another_name(path) end
    local number = redis.call('HINCRBY', K.job(id), 'total', 1)
    redis.call('HSET', K.items(id), number, path)
    if ARGV[n + 2] ~= '' then
      if job[1] == 'queued' then
        set_status(id, job[5], 'queued', 'running')
        redis.call('HSETNX', K.job(id), 'started', now_ms())
        job[1] = 'running'
      end
      write_outcome(id, tostring(number), 'error', ARGV[n + 2], '', '', ttl_ms)
    else
      if ARGV[n + 1] ~= '' then redis.call('SET', K.upload(id, number), ARGV[n + 1]) end
      redis.call('RPUSH', queue, id .. ':' .. number .. ':0')
    end
    added = added + 1
  end
end
if tonumber(ARGV[5]) > 0 then redis.call('HINCRBY', K.job(id), 'skipped', ARGV[5]) end
if claim == '' then redis.call('ZADD', K.open(), now_ms(), id) end
if redis.call('LLEN', queue) > 0 then redis.call('ZADD', K.lane(job[3]), 'NX', now_ms(), job[4]) end
return {added, already, ticket_needed(job[3], ARGV[3]) and 1 or 0}
