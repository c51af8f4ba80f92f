-- Fail a batch whose one request broke off, so that nothing of it goes on.
--
-- ARGV: id, result ttl in ms.
if not has_ended(redis.call('HGET', K.job(ARGV[1]), 'status')) then
  break_off(ARGV[1], tonumber(ARGV[2]))
end
