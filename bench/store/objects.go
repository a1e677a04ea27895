package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"
)

// An object as the store knows it: all but its bytes. `checksum` is the header line it came with.
type object struct {
	size, partSize int64
	etag           string
	checksum       string
	written        time.Time
}

type upload struct {
	path  string
	parts map[int]object
}

// A reply is a status, header lines (each ending in CRLF) and a body.
type reply struct {
	status  int
	headers string
	body    string
	length  int64 // of HeadObject's object; else -1
}

func plain(status int, headers, body string) reply { return reply{status, headers, body, -1} }

func refusal(status int, code, message string) reply {
	body := fmt.Sprintf("%s<Error><Code>%s</Code><Message>%s</Message><RequestId>bench</RequestId></Error>", xmlHead, code, message)
	return plain(status, typeXML, body)
}

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	typeXML = "Content-Type: application/xml\r\n"
)

var noSuchUpload = refusal(404, "NoSuchUpload", "The specified multipart upload does not exist.")

// operation names a request as S3 does; "" for one that this store does not know.
func (r *request) operation() string {
	_, uploads := r.query["uploads"]
	id := r.query.Get("uploadId") != ""
	switch {
	case r.method == "PUT" && id:
		return "UploadPart"
	case r.method == "PUT" && r.key != "":
		return "PutObject"
	case r.method == "PUT":
		return "CreateBucket"
	case r.method == "POST" && uploads:
		return "CreateMultipartUpload"
	case r.method == "POST" && id:
		return "CompleteMultipartUpload"
	case r.method == "DELETE" && id:
		return "AbortMultipartUpload"
	case r.method == "GET" && id:
		return "ListParts"
	case r.method == "HEAD" && r.key != "":
		return "HeadObject"
	case r.method == "HEAD":
		return "HeadBucket"
	}
	return ""
}

// carryOut does what an accepted request asks for. `etag` is that of its body, `body` the text of a Complete.
func (s *store) carryOut(r *request, operation, etag string, body []byte) reply {
	path := r.bucket + "/" + r.key
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.counts.Requests[operation]++
	switch operation {
	case "PutObject":
		s.objects[path] = object{size: r.length, etag: etag, checksum: r.checksum, written: time.Now()}
		return plain(200, `ETag: "`+etag+"\"\r\n"+r.checksum, "")
	case "HeadObject":
		found, ok := s.objects[path]
		if !ok {
			return plain(404, "", "")
		}
		written := found.written.UTC().Format(http.TimeFormat)
		return reply{200, `ETag: "` + found.etag + "\"\r\n" + found.checksum + "Last-Modified: " + written + "\r\n", "", found.size}
	case "CreateMultipartUpload":
		s.lastUpload++
		id := fmt.Sprintf("upload-%d", s.lastUpload)
		s.uploads[id] = &upload{path, map[int]object{}}
		return plain(200, typeXML, xmlHead+"<InitiateMultipartUploadResult><UploadId>"+id+"</UploadId></InitiateMultipartUploadResult>")
	case "CreateBucket", "HeadBucket":
		return plain(200, "", "")
	}
	id := r.query.Get("uploadId")
	upload, ok := s.uploads[id]
	if !ok {
		return noSuchUpload
	}
	switch operation {
	case "UploadPart":
		upload.parts[r.part()] = object{size: r.length, etag: etag}
		return plain(200, `ETag: "`+etag+"\"\r\n"+r.checksum, "")
	case "AbortMultipartUpload":
		delete(s.uploads, id)
		return plain(204, "", "")
	case "ListParts":
		return plain(200, typeXML, upload.list())
	}
	whole, problem := upload.complete(body)
	if problem != nil {
		return *problem
	}
	s.objects[path] = whole
	delete(s.uploads, id)
	return plain(200, typeXML, xmlHead+"<CompleteMultipartUploadResult><ETag>&quot;"+whole.etag+"&quot;</ETag></CompleteMultipartUploadResult>")
}

func (u *upload) list() string {
	numbers := make([]int, 0, len(u.parts))
	for number := range u.parts {
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	var text strings.Builder
	text.WriteString(xmlHead + "<ListPartsResult><IsTruncated>false</IsTruncated>")
	for _, number := range numbers {
		part := u.parts[number]
		fmt.Fprintf(&text, "<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag><Size>%d</Size></Part>", number, part.etag, part.size)
	}
	text.WriteString("</ListPartsResult>")
	return text.String()
}

// complete joins the parts that a CompleteMultipartUpload names.
func (u *upload) complete(body []byte) (object, *reply) {
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil || len(asked.Part) == 0 {
		problem := refusal(400, "MalformedXML", "This is no CompleteMultipartUpload.")
		return object{}, &problem
	}
	whole := object{written: time.Now()}
	digest := md5.New()
	for _, wanted := range asked.Part {
		part, ok := u.parts[wanted.PartNumber]
		if !ok || strings.Trim(wanted.ETag, `"`) != part.etag {
			problem := refusal(400, "InvalidPart", fmt.Sprintf("Part %d was not found, or has another ETag.", wanted.PartNumber))
			return object{}, &problem
		}
		if whole.partSize == 0 {
			whole.partSize = part.size
		}
		whole.size += part.size
		raw, _ := hex.DecodeString(part.etag)
		digest.Write(raw)
	}
	whole.etag = fmt.Sprintf("%x-%d", digest.Sum(nil), len(asked.Part))
	return whole, nil
}

func (s *store) keys() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var text strings.Builder
	for path, object := range s.objects {
		fmt.Fprintf(&text, "%s\t%d\t%s\t%d\n", path, object.size, object.etag, object.partSize)
	}
	return text.String()
}
