-- A copy of a database must not remind anybody: its queue is emptied.
UPDATE dunning_reminder
   SET state = 'cancelled', failure_reason = 'Neutralized copy of a database'
 WHERE state = 'queued';
UPDATE dunning_sequence SET state = 'stopped' WHERE state = 'running';
