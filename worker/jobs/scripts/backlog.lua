-- Say how much waits in lanes.
--
-- ARGV: lanes ...
-- Returns for each {jobs that wait, ms that the oldest has waited}.
local answer = {}
for _, lane in ipairs(ARGV) do answer[#answer + 1] = {backlog(lane)} end
return answer
