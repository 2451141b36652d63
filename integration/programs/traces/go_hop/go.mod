module hop

go 1.18
