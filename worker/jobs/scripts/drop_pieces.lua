-- Delete the pieces of files of a job that was not accepted, at once.
--
-- ARG job
drop_pieces(ARG.job)
