-- Say how much waits in lanes.
--
-- EACH lane
-- Returns for each {jobs that wait, ms that the oldest has waited}.
local answer = {}
for n = EACH_FIRST, #ARGV do answer[#answer + 1] = {backlog(EACH.lane)} end
return answer
