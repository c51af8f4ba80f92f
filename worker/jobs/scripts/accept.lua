-- Write a job: record, upload, index entry and queue entry, all or nothing, so that a job that was
-- answered with 202 exists whole, and one that was not does not exist at all. Its first write needs
-- memory, so that a full Redis refuses all of it.
--
-- ARG job, kind, lane
-- ARG target: the queue that its items wait in
-- ARG model, version, sha256: what the job is pinned to, each '' where it needs no model
-- ARG options: JSON
-- ARG keep_upload_ms: for which the upload outlives the job
-- ARG ticket_ms: after which a ticket that is on its way is taken for lost
-- ARG idempotency_digest: of the client's key, or ''
-- ARG fingerprint: of the request
-- ARG idempotency_ms: for which the key is remembered
-- ARG upload: bytes of the image, or ''
-- ARG total: items
-- ARG origin: where its items come from: 'whole', 'folder', 'request' or 'open'
-- ARG give_up_ms: after which a batch that gets no more images is given up
-- ARG most_waiting: jobs that may wait in the lane; 0: any
-- ARG oldest_ms: for which the oldest of them may have waited; 0: any
-- ARG webhook, webhook_host: '' where there is none
-- ARG most_webhooks: that may wait for that host
-- ARG client: whose the uploads are, or ''
-- ARG client_bytes: that may be stored for that client; 0: any
-- ARG owner: the API key that makes the job, or ''
-- ARG basis: what the model's preprocessing rests on, or ''
-- EACH file_name, file_place: an uploaded file, and 'place:size:chunks'; its pieces are stored
-- Returns {id, 1 if the job is new, 1 if a ticket has to be sent, time of acceptance}, or
-- {id, 0, 0, 0} where the idempotency key led to the first job, or {id, -1, 0, 0} where it was used
-- before with another fingerprint, or {id, -2, how many wait, ms the oldest has} where that is too
-- much, or {id, -3, how many, 0} where too many webhooks wait for the host, or {id, -4, bytes held, 0}
-- where the client would hold too many, or {id, -5, 0, 0} where the pieces were taken for given up and
-- deleted, or {id, -6, why it is, 0} where its version is set aside.
local id, kind, lane, target = ARG.job, ARG.kind, ARG.lane, ARG.target
local digest, fingerprint = ARG.idempotency_digest, ARG.fingerprint
local origin, owner, upload = ARG.origin, ARG.owner, ARG.upload
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

local aside = redis.call('HGET', K.aside(), ARG.model .. '@' .. ARG.version)
if aside then
  local sha256 = cjson.decode(aside).sha256
  if sha256 == '' or sha256 == ARG.sha256 then return {id, -6, aside, 0} end
end

local depth, age = backlog(lane)
local most, oldest = tonumber(ARG.most_waiting), tonumber(ARG.oldest_ms)
if (most > 0 and depth >= most) or (oldest > 0 and age > oldest) then return {id, -2, depth, age} end

local webhook, host = ARG.webhook, ARG.webhook_host
if webhook ~= '' then
  local waiting = redis.call('ZCARD', K.webhooks(host))
  if waiting >= tonumber(ARG.most_webhooks) then return {id, -3, waiting, 0} end
end
local client, has_files = ARG.client, #ARGV >= EACH_FIRST
local too_much, held = is_too_much(client, #upload, tonumber(ARG.client_bytes))
if too_much then return {id, -4, held, 0} end
if has_files and not redis.call('ZSCORE', K.arriving(), id) then return {id, -5, 0, 0} end

local now = now_ms()
redis.call('HSET', K.job(id), 'kind', kind, 'status', 'queued', 'lane', lane, 'target', target,
  'model', ARG.model, 'version', ARG.version, 'sha256', ARG.sha256, 'options', ARG.options,
  'keep_upload_ms', ARG.keep_upload_ms, 'created', now, 'total', ARG.total, 'succeeded', 0, 'failed', 0,
  'skipped', 0, 'attempts', 0, 'origin', origin, 'client', client)
if ARG.basis ~= '' then redis.call('HSET', K.job(id), 'basis', ARG.basis) end
if webhook ~= '' then
  redis.call('HSET', K.job(id), 'webhook', webhook, 'webhook_host', host, 'webhook_attempts', 0)
end
redis.call('ZADD', K.index(kind, 'queued'), 0, id)
if owner ~= '' then
  redis.call('HSET', K.job(id), 'owner', owner)
  redis.call('ZADD', K.owned(owner, kind, 'queued'), 0, id)
end
if upload ~= '' then
  redis.call('SET', K.upload(id, 0), upload)
  hold(client, #upload)
end
if has_files then
  redis.call('ZREM', K.arriving(), id)
  redis.call('DEL', K.pieces(id))
end
for n = EACH_FIRST, #ARGV, EACH_STEP do
  local place, _, chunks = string.match(EACH.file_place, '^(%d+):(%d+):(%d+)$')
  redis.call('HSET', K.files(id), EACH.file_name, EACH.file_place)
  for chunk = 0, chunks - 1 do redis.call('PERSIST', K.chunk(id, place, chunk)) end
end
if digest ~= '' then
  redis.call('SET', K.idempotency(digest), id .. ':' .. fingerprint, 'PX', ARG.idempotency_ms)
end
redis.call('HINCRBY', K.totals(), kind .. ':accepted', 1)
if origin == 'request' or origin == 'open' then
  redis.call('ZADD', K.open(), now + ARG.give_up_ms, id)
  return {id, 1, 0, now}
end
redis.call('RPUSH', K.queue(lane, target), id .. ':0:0')
redis.call('ZADD', K.lane(lane), 'NX', turn_now(), target)
return {id, 1, ticket_needed(lane, ARG.ticket_ms) and 1 or 0, now}
