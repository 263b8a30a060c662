-- A copy of a database posts no letters.
UPDATE res_company SET dunning_snailmail = FALSE;
