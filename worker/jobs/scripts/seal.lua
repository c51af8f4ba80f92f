-- Take no more images into a batch; it ends when all it has have ended.
--
-- ARG job
-- ARG result_ms: for which results are kept
if not has_ended(redis.call('HGET', K.job(ARG.job), 'status')) then
  seal_batch(ARG.job, tonumber(ARG.result_ms))
end
