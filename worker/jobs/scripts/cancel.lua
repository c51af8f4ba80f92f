-- Cancel a job that has not ended and delete its upload. What a worker still writes of it is
-- dropped; its queue entry is passed over by the next claim or sweep.
--
-- ARG job
-- ARG result_ms: for which results are kept
-- Returns the job's status before, or nil where there is none.
local status = redis.call('HGET', K.job(ARG.job), 'status')
if not has_ended(status) then end_job(ARG.job, 'cancelled', nil, nil, tonumber(ARG.result_ms)) end
return status
