-- Write a job: record, upload, index entry and queue entry, all or nothing, so that a job that was
-- answered with 202 exists whole, and one that was not does not exist at all. Its first write needs
-- memory, so that a full Redis refuses all of it.
--
-- ARGV: id, kind, lane, target, model name, model version, model sha256, options (JSON),
--       keep_upload_ms, ticket_ms, idempotency digest or '', fingerprint, idempotency ttl in ms,
--       upload bytes or '', number of items, where its items come from ('whole', 'folder',
--       'request' or 'open'), ms until it is given up where these are requests, most that may wait
--       in the lane or 0, most ms that the oldest may have waited or 0, webhook or '', its host, most
--       webhooks that may wait for that host, whose the uploads are or '', most bytes that may lie
--       here for that client or 0, the API key that makes it or '', on what the model's preprocessing
--       rests or '', then name and 'place:size:chunks' of each uploaded file, whose pieces were stored
--       and counted before.
-- Returns {id, 1 if the job is new, 1 if a ticket has to be sent, time of acceptance}, or
-- {id, 0, 0, 0} where the idempotency key led to the first job, or {id, -1, 0, 0} where it was used
-- before with another fingerprint, or {id, -2, how many wait, ms the oldest has} where that is too
-- much, or {id, -3, how many, 0} where too many webhooks wait for the host, or {id, -4, bytes held, 0}
-- where the client would hold too many, or {id, -5, 0, 0} where the pieces were taken for given up and
-- deleted, or {id, -6, why it is, 0} where its version is set aside.
local id, kind, lane, target = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local digest, fingerprint, origin, owner = ARGV[11], ARGV[12], ARGV[16], ARGV[25]
-- The same call a second time: the answer to the first was lost with its connection.
local created = redis.call('HGET', K.job(id), 'created')
if created then return {id, 1, 1, tonumber(created)} end
if digest ~= '' then
  local seen = redis.call('GET', K.idempotency(digest))
  if seen then
    local first, print = string.match(seen, '^(%w+):(.*)$')
    if redis.call('HEXISTS', K.job(first), 'broken') == 0 then
      if print ~= fingerprint then return {first, -1, 0, 0} end
      return {first, 0, 0, 0}
    end
  end
end

local aside = redis.call('HGET', K.aside(), ARGV[5] .. '@' .. ARGV[6])
if aside then
  local sha256 = cjson.decode(aside).sha256
  if sha256 == '' or sha256 == ARGV[7] then return {id, -6, aside, 0} end
end

local depth, age = backlog(lane)
local most, oldest = tonumber(ARGV[18]), tonumber(ARGV[19])
if (most > 0 and depth >= most) or (oldest > 0 and age > oldest) then return {id, -2, depth, age} end

local webhook, host = ARGV[20], ARGV[21]
if webhook ~= '' then
  local waiting = redis.call('ZCARD', K.webhooks(host))
  if waiting >= tonumber(ARGV[22]) then return {id, -3, waiting, 0} end
end
local client, first_file = ARGV[23], 27
local too_much, held = is_too_much(client, #ARGV[14], tonumber(ARGV[24]))
if too_much then return {id, -4, held, 0} end
if ARGV[first_file] and not redis.call('ZSCORE', K.arriving(), id) then return {id, -5, 0, 0} end

local now = now_ms()
redis.call('HSET', K.job(id), 'kind', kind, 'status', 'queued', 'lane', lane, 'target', target,
  'model', ARGV[5], 'version', ARGV[6], 'sha256', ARGV[7], 'options', ARGV[8],
  'keep_upload_ms', ARGV[9], 'created', now, 'total', ARGV[15], 'succeeded', 0, 'failed', 0,
  'skipped', 0, 'attempts', 0, 'origin', origin, 'client', client)
if ARGV[26] ~= '' then redis.call('HSET', K.job(id), 'basis', ARGV[26]) end
if webhook ~= '' then
  redis.call('HSET', K.job(id), 'webhook', webhook, 'webhook_host', host, 'webhook_attempts', 0)
end
redis.call('ZADD', K.index(kind, 'queued'), 0, id)
if owner ~= '' then
  redis.call('HSET', K.job(id), 'owner', owner)
  redis.call('ZADD', K.owned(owner, kind, 'queued'), 0, id)
end
if ARGV[14] ~= '' then
  redis.call('SET', K.upload(id, 0), ARGV[14])
  hold(client, #ARGV[14])
end
if ARGV[first_file] then
  redis.call('ZREM', K.arriving(), id)
  redis.call('DEL', K.pieces(id))
end
for n = first_file, #ARGV, 2 do
  local place, _, chunks = string.match(ARGV[n + 1], '^(%d+):(%d+):(%d+)$')
  redis.call('HSET', K.files(id), ARGV[n], ARGV[n + 1])
  for chunk = 0, chunks - 1 do redis.call('PERSIST', K.chunk(id, place, chunk)) end
end
if digest ~= '' then
  redis.call('SET', K.idempotency(digest), id .. ':' .. fingerprint, 'PX', ARGV[13])
end
redis.call('HINCRBY', K.totals(), kind .. ':accepted', 1)
if origin == 'request' or origin == 'open' then
  redis.call('ZADD', K.open(), now + ARGV[17], id)
  return {id, 1, 0, now}
end
redis.call('RPUSH', K.queue(lane, target), id .. ':0:0')
redis.call('ZADD', K.lane(lane), 'NX', turn_now(), target)
return {id, 1, ticket_needed(lane, ARGV[10]) and 1 or 0, now}
