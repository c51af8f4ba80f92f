-- Write a job: record, upload, index entry and queue entry, all or nothing, so that a job that was
-- answered with 202 exists whole, and one that was not does not exist at all.
--
-- ARGV: id, kind, lane, target, model name, model version, model sha256, options (JSON),
--       keep_upload_ms, ticket_ms, idempotency digest or '', fingerprint, idempotency ttl in ms,
--       upload bytes or '', number of items, 1 if item 0 is queued, then name and 'place:size:chunks' of each uploaded file.
-- Returns {id, 1 if the job is new, 1 if a ticket has to be sent}, or {id, -1, 0} where the
-- idempotency key was used before with another fingerprint.
local id, kind, lane, target = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local digest, fingerprint = ARGV[11], ARGV[12]
if digest ~= '' then
  local seen = redis.call('GET', K.idempotency(digest))
  if seen then
    local first, print = string.match(seen, '^(%w+):(.*)$')
    if print ~= fingerprint then return {first, -1, 0} end
    return {first, 0, 0}
  end
end

local now = now_ms()
redis.call('HSET', K.job(id), 'kind', kind, 'status', 'queued', 'lane', lane, 'target', target,
  'model', ARGV[5], 'version', ARGV[6], 'sha256', ARGV[7], 'options', ARGV[8],
  'keep_upload_ms', ARGV[9], 'created', now, 'total', ARGV[15], 'succeeded', 0, 'failed', 0,
  'skipped', 0, 'attempts', 0)
redis.call('ZADD', K.index(kind, 'queued'), 0, id)
if ARGV[14] ~= '' then redis.call('SET', K.upload(id, 0), ARGV[14]) end
for n = 17, #ARGV, 2 do
  local place, _, chunks = string.match(ARGV[n + 1], '^(%d+):(%d+):(%d+)$')
  redis.call('HSET', K.files(id), ARGV[n], ARGV[n + 1])
  for chunk = 0, chunks - 1 do redis.call('PERSIST', K.chunk(id, place, chunk)) end
end
if digest ~= '' then
  redis.call('SET', K.idempotency(digest), id .. ':' .. fingerprint, 'PX', ARGV[13])
end
if ARGV[16] == '1' then
  redis.call('RPUSH', K.queue(lane, target), id .. ':0:0')
  redis.call('ZADD', K.lane(lane), 'NX', now, target)
else
  redis.call('ZADD', K.open(), now, id)
end
redis.call('HINCRBY', K.totals(), kind .. ':accepted', 1)
return {id, 1, ticket_needed(lane, ARGV[10]) and 1 or 0}
