-- Cancel a job that has not ended. What a worker still writes of it is dropped.
--
-- ARGV: id, result ttl in ms.
-- Returns the job's status before, or nil where there is none.
local status = redis.call('HGET', K.job(ARGV[1]), 'status')
if status == 'queued' or status == 'running' then
  redis.call('HSET', K.job(ARGV[1]), 'keep_upload_ms', 0)
  end_job(ARGV[1], 'cancelled', nil, nil, tonumber(ARGV[2]))
end
return status
