-- A copy of a database does not go on with the work of the original.
UPDATE queue_job
   SET state = 'cancelled'
 WHERE model_name IN ('dunning.enrollment', 'dunning.reminder')
   AND state IN ('wait_dependencies', 'pending', 'enqueued', 'started');
