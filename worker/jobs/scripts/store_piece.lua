-- Store a piece of a file for a job that is still to be accepted, and count it for its client. Where
-- nothing more is heard, `clean` deletes it. The first write needs memory, so that a full Redis refuses
-- all of it.
--
-- ARGV: job, place of the file, number of the piece, client or '', most bytes that may lie here for it
--       or 0, ms until it is given up, ms until it expires by itself, its bytes.
-- Returns {1, 0}, or {0, bytes held} where the client would hold too many.
local id, place, chunk, client = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
-- The same call a second time: the answer to the first was lost with its connection.
if redis.call('EXISTS', K.chunk(id, place, chunk)) == 1 then return {1, 0} end
local too_much, held = is_too_much(client, #ARGV[8], tonumber(ARGV[5]))
if too_much then return {0, held} end
redis.call('SET', K.chunk(id, place, chunk), ARGV[8], 'PX', ARGV[7])
redis.call('HSET', K.pieces(id), '@client', client, place .. ':' .. chunk, #ARGV[8])
redis.call('ZADD', K.arriving(), now_ms() + ARGV[6], id)
hold(client, #ARGV[8])
return {1, 0}
