-- Fail a batch whose one request broke off, so that nothing of it goes on.
--
-- ARG job
-- ARG result_ms: for which results are kept
if not has_ended(redis.call('HGET', K.job(ARG.job), 'status')) then
  break_off(ARG.job, tonumber(ARG.result_ms))
end
