-- Which of several providers an attempt went by.

-- the name in the settings of the provider that was asked; null: none was, or the attempt is older than this column
alter table attempts add column provider text collate "C";
