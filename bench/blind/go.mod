module blind

go 1.21
