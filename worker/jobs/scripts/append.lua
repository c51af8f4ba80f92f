-- Add images to a batch that is not sealed: each becomes an item with the next number, its path, its
-- upload and its place in the queue, all or nothing. Its first write needs memory, so that a full
-- Redis refuses all of it.
--
-- The same call a second time, because the answer to the first was lost with its connection, must
-- add nothing. Who adds alone says how many there are so far; where several requests add, paths that
-- the batch has are left out.
--
-- ARGV: id, claim that lists the folder or '', ticket_ms, what to do with a path that the batch has:
--       'skip', 'rename' or '' where it cannot be, total before or -1, files skipped meanwhile, most
--       images waiting, ms until the batch is given up, most bytes that may lie here for the batch's
--       client or 0, then for each image: path, upload bytes or
--       '', and '' or the error (JSON) that it ends with at once or '-' for a file that is no image.
-- Returns {added, already there, 1 if a ticket has to be sent}; {-1} where the batch takes no more,
-- {-2} where the claim is lost, {-3} where too much waits, {-4, bytes held, bytes more} where the
-- client would hold too many.
local id, claim, names, before = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local first = 10
local job = redis.call('HMGET', K.job(id), 'status', 'sealed', 'lane', 'target', 'kind', 'total',
  'client')
if has_ended(job[1]) or job[2] == '1' then return {-1} end
if claim ~= '' and redis.call('HEXISTS', K.claim(claim), id .. ':0') == 0 then return {-2} end
if before >= 0 and before ~= tonumber(job[6]) then
  local added = 0
  for n = first, #ARGV, 3 do if ARGV[n + 2] ~= '-' then added = added + 1 end end
  if before + added ~= tonumber(job[6]) then return {-1} end
  return {added, 0, 1}
end
local queue = K.queue(job[3], job[4])
if redis.call('LLEN', queue) >= tonumber(ARGV[7]) then return {-3} end

local more, client = 0, job[7] or ''
for n = first, #ARGV, 3 do more = more + #ARGV[n + 1] end
local too_much, held = is_too_much(client, more, tonumber(ARGV[9]))
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

local added, already, skipped, failed, stored = 0, 0, tonumber(ARGV[6]), 0, 0
for n = first, #ARGV, 3 do
  local path, upload, fate = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  local is_known = names ~= '' and known(path)
  if fate == '-' then
    if not is_known then skipped = skipped + 1 end
  elseif is_known and names == 'skip' then
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
  redis.call('ZADD', K.open(), now_ms() + ARGV[8], id)
else
  -- The listing got somewhere, so it is not what kills its workers.
  redis.call('HSET', K.claim(claim), id .. ':0', 1)
end
if redis.call('LLEN', queue) > 0 then redis.call('ZADD', K.lane(job[3]), 'NX', turn_now(), job[4]) end
return {added, already, ticket_needed(job[3], ARGV[3]) and 1 or 0}
