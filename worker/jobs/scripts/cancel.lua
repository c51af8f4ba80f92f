-- Cancel a job that has not ended and delete its upload. What a worker still writes of it is
-- dropped; its queue entry is passed over by the next claim or sweep.
--
-- ARGV: id, result ttl in ms.
-- Returns the job's status before, or nil where there is none.
local status = redis.call('HGET', K.job(ARGV[1]), 'status')
if not has_ended(status) then end_job(ARGV[1], 'cancelled', nil, nil, tonumber(ARGV[2])) end
return status
