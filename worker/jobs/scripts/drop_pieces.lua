-- Delete the pieces of files of a job that was not accepted, at once.
--
-- ARGV: job.
drop_pieces(ARGV[1])
