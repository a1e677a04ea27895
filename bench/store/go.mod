module s3store

go 1.21
