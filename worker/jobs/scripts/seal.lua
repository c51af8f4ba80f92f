-- Take no more images into a batch; it ends when all it has have ended.
--
-- ARGV: id, result ttl in ms.
if not has_ended(redis.call('HGET', K.job(ARGV[1]), 'status')) then
  seal_batch(ARGV[1], tonumber(ARGV[2]))
end
