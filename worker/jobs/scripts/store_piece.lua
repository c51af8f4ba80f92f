-- Store a piece of a file for a job that is still to be accepted, and count it for its client. Where
-- nothing more is heard, `clean` deletes it. The first write needs memory, so that a full Redis refuses
-- all of it.
--
-- ARG job
-- ARG place: of the file among those of the job
-- ARG chunk: the piece's number in the file
-- ARG client: whose it is, or ''
-- ARG client_bytes: that may be stored for that client; 0: any
-- ARG give_up_ms: after which the pieces are given up
-- ARG expire_ms: after which the piece expires by itself
-- ARG content: its bytes
-- Returns {1, 0}, or {0, bytes held} where the client would hold too many.
local id, place, chunk, client = ARG.job, ARG.place, ARG.chunk, ARG.client
-- The same call a second time: the answer to the first was lost with its connection.
if redis.call('EXISTS', K.chunk(id, place, chunk)) == 1 then return {1, 0} end
local too_much, held = is_too_much(client, #ARG.content, tonumber(ARG.client_bytes))
if too_much then return {0, held} end
redis.call('SET', K.chunk(id, place, chunk), ARG.content, 'PX', ARG.expire_ms)
redis.call('HSET', K.pieces(id), '@client', client, place .. ':' .. chunk, #ARG.content)
redis.call('ZADD', K.arriving(), now_ms() + ARG.give_up_ms, id)
hold(client, #ARG.content)
return {1, 0}
