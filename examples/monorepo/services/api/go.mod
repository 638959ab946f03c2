module example.invalid/monorepo/api

go 1.23
